//! What two processes of a gateway say to each other: lines of JSON, some with open sockets.
//!
//! The two may be of different versions: what a message gains later has to be optional, and what
//! cannot be understood any more gets a new [`PROTOCOL`].

use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncWriteExt as _, Interest};
use tokio::net::UnixStream;

use super::Use;

/// The rules of this conversation.
pub(in crate::serve) const PROTOCOL: u32 = 1;
/// So many sockets travel with one line.
const SOCKETS_MAX: usize = 64;
/// The longest line, in bytes.
const LINE_MAX: usize = 64 * 1024;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub(crate) enum Message {
    /// New to old: who wants to take over.
    Hello {
        protocol: u32,
        version: String,
        pid: u32,
        /// Whether it can have the store open beside another process.
        shares_store: bool,
    },
    /// Old to new: what it has; the sockets follow.
    Have {
        version: String,
        pid: u32,
        /// Whether the store may be opened while this process has it open.
        shares_store: bool,
        doors: Vec<DoorWords>,
    },
    /// Old to new: so many sockets come with this line.
    Sockets { count: usize },
    /// Old to new: it cannot be now.
    Refused { why: String },
    /// New to old: everything is ready but the store.
    Ready,
    /// Old to new: the store may be opened.
    Yours,
    /// New to old: requests are being answered.
    Serving,
    /// New to old: it could not start; the old one has to go on.
    Failed { why: String },
    /// Old to new: from now on the service is the new process.
    Bye,
    /// `becket restart` to a running gateway.
    Restart,
    /// The answer to it.
    Restarted {
        /// The process that has gone.
        old_pid: u32,
        /// The process that serves.
        pid: u32,
        /// How long no request could be stored, in milliseconds.
        pause_ms: u64,
    },
}

/// A listener in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DoorWords {
    pub(super) purpose: Use,
    pub(super) configured: SocketAddr,
    pub(super) activated: bool,
    pub(super) sockets: usize,
}

/// A conversation.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: UnixStream,
    bytes: Vec<u8>,
    sockets: VecDeque<OwnedFd>,
}

impl Wire {
    pub(crate) fn new(stream: UnixStream) -> Self {
        Self { stream, bytes: Vec::new(), sockets: VecDeque::new() }
    }

    /// Whether the other end is a process that may ask for anything here.
    pub(super) fn is_trusted(&self) -> bool {
        let own = rustix::process::geteuid().as_raw();
        self.stream.peer_cred().is_ok_and(|peer| peer.uid() == own || peer.uid() == 0)
    }

    /// The process that has connected, if the system tells.
    pub(super) fn pid(&self) -> Option<u32> {
        self.stream.peer_cred().ok()?.pid()?.try_into().ok()
    }

    /// # Errors
    /// If the other end is gone.
    pub(crate) async fn say(&mut self, message: &Message) -> io::Result<()> {
        self.stream.write_all(&line(message)?).await
    }

    /// Sends open sockets; they stay open here too.
    ///
    /// # Errors
    /// If the other end is gone.
    pub(super) async fn say_sockets(&mut self, sockets: &[BorrowedFd<'_>]) -> io::Result<()> {
        for some in sockets.chunks(SOCKETS_MAX) {
            let line = line(&Message::Sockets { count: some.len() })?;
            let stream = &self.stream;
            let sent = stream.async_io(Interest::WRITABLE, || {
                let mut space =
                    [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX))];
                let mut control = SendAncillaryBuffer::new(&mut space);
                if !control.push(SendAncillaryMessage::ScmRights(some)) {
                    return Err(io::ErrorKind::InvalidInput.into());
                }
                let bytes = [IoSlice::new(&line)];
                Ok(sendmsg(stream.as_fd(), &bytes, &mut control, SendFlags::NOSIGNAL)?)
            });
            // The sockets have gone with the first byte; the rest of the line may follow.
            let sent = sent.await?;
            self.stream.write_all(line.get(sent..).unwrap_or_default()).await?;
        }
        Ok(())
    }

    /// The next line.
    ///
    /// # Errors
    /// `UnexpectedEof` if the other end is gone; `InvalidData` if it is not understood.
    pub(crate) async fn hear(&mut self) -> io::Result<Message> {
        loop {
            if let Some(end) = self.bytes.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.bytes.drain(..=end).collect();
                return serde_json::from_slice(&line)
                    .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error));
            }
            if self.bytes.len() > LINE_MAX {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the line has no end"));
            }
            self.read().await?;
        }
    }

    async fn read(&mut self) -> io::Result<()> {
        let (stream, sockets) = (&self.stream, &mut self.sockets);
        let mut bytes = [0; 4096];
        let count = stream.async_io(Interest::READABLE, || {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX))];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let mut into = [IoSliceMut::new(&mut bytes)];
            let flags = RecvFlags::CMSG_CLOEXEC;
            let received = recvmsg(stream.as_fd(), &mut into, &mut control, flags)?;
            for message in control.drain() {
                if let RecvAncillaryMessage::ScmRights(come) = message {
                    sockets.extend(come);
                }
            }
            Ok(received.bytes)
        });
        match count.await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            count => {
                self.bytes.extend_from_slice(&bytes[..count]);
                Ok(())
            }
        }
    }

    /// Receives this many sockets.
    ///
    /// # Errors
    /// Like [`Self::hear`]; `InvalidData` also if fewer come.
    pub(super) async fn hear_sockets(&mut self, count: usize) -> io::Result<Vec<OwnedFd>> {
        let mut announced = 0;
        while announced < count {
            match self.hear().await? {
                Message::Sockets { count } if count > 0 => announced += count,
                _ => return Err(io::Error::new(io::ErrorKind::InvalidData, "no sockets came")),
            }
        }
        if self.sockets.len() != count {
            let detail =
                "other sockets came than were announced; is the limit on open files too low?";
            return Err(io::Error::new(io::ErrorKind::InvalidData, detail));
        }
        Ok(self.sockets.drain(..).collect())
    }
}

fn line(message: &Message) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    Ok(line)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::fd::AsFd;

    use super::*;

    #[tokio::test]
    async fn lines_and_sockets_arrive_whole() {
        let (one, other) = UnixStream::pair().unwrap();
        let (mut one, mut other) = (Wire::new(one), Wire::new(other));
        assert!(one.is_trusted());
        let sent: Vec<TcpListener> =
            (0..SOCKETS_MAX + 3).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let talking = tokio::spawn(async move {
            one.say(&Message::Failed { why: "x".repeat(20_000) }).await.unwrap();
            let borrowed: Vec<_> = sent.iter().map(AsFd::as_fd).collect();
            one.say_sockets(&borrowed).await.unwrap();
            one.say(&Message::Ready).await.unwrap();
            let addresses: Vec<_> = sent.iter().map(|one| one.local_addr().unwrap()).collect();
            drop(sent);
            addresses
        });
        assert_eq!(other.hear().await.unwrap(), Message::Failed { why: "x".repeat(20_000) });
        let come = other.hear_sockets(SOCKETS_MAX + 3).await.unwrap();
        assert_eq!(other.hear().await.unwrap(), Message::Ready);
        let addresses = talking.await.unwrap();
        for (come, address) in come.into_iter().zip(addresses) {
            assert_eq!(TcpListener::from(come).local_addr().unwrap(), address);
            assert!(std::net::TcpStream::connect(address).is_err(), "dropped at both ends");
        }
        assert_eq!(other.hear().await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn what_is_not_understood_is_an_error() {
        let (one, other) = UnixStream::pair().unwrap();
        let (mut one, mut other) = (one, Wire::new(other));
        one.write_all(b"{\"say\":\"something_new\"}\n").await.unwrap();
        assert_eq!(other.hear().await.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}

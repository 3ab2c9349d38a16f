//! What egress does against real sockets on the loopback, and what its policy says to the tables of
//! hostile URLs. `support` has the scripted server and resolver that the rest is written with.

mod dns;
mod garbage;
mod hostile_urls;
mod loops;
mod outcome;
mod pooling;
mod properties;
mod selection;
mod support;
mod tls;

//! `becket-bench`: what the gateway costs, beside a bare server on the same machine.
//!
//! Role: `run` starts everything and prints a table; the other commands are its parts, for use by
//! hand. Every figure stands beside what was aimed at, met or not.
//!
//! Invariants: rates are only compared within one run, in rounds that alternate; processor time is
//! what the measured process used, read from the kernel.
//!
//! Deliberately absent: any verdict beyond the aims, and any dependency on the gateway's crates: it
//! is measured as a program, from outside.
//!
//! Where next: `run` for what is measured, `load` for the client, `docs/performance.md` for figures.

mod api;
mod clock;
mod error;
mod github;
mod histogram;
mod limit;
mod load;
mod machine;
mod messages;
mod nodes;
mod place;
mod postgres;
mod process;
mod report;
mod request;
mod run;
mod sink;
mod wire;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

/// Measures the gateway beside a bare server.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Start everything, measure, print a table and write bench/results/latest.json
    Run(run::Options),
    /// The bare server: verifies the signature, stores nothing, answers 200
    Limit(Listen),
    /// An endpoint that answers 200 and counts; figures at GET /count, from zero after GET /reset
    Sink(Listen),
    /// Post messages to any server that speaks the API, and print figures as JSON
    Messages(run::sending::Options),
    /// Send signed events over connections that are kept open, and print figures as JSON
    Load(LoadArgs),
}

#[derive(Args)]
struct Listen {
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:9900")]
    listen: SocketAddr,
}

#[derive(Args)]
struct LoadArgs {
    /// Where to send to
    #[arg(long, default_value = "127.0.0.1:9900")]
    to: SocketAddr,
    /// How many connections
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// For how many seconds
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Events per second in all; as many as are answered if absent
    #[arg(long)]
    rate: Option<u32>,
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        None => run::run(&run::Options::default()),
        Some(Command::Run(options)) => run::run(&options),
        Some(Command::Limit(args)) => limit::serve(args.listen),
        Some(Command::Sink(args)) => sink::serve(args.listen),
        Some(Command::Messages(options)) => run::sending::against(&options),
        Some(Command::Load(args)) => {
            let mut plan = load::Plan::to(args.to);
            plan.connections = args.connections;
            plan.until = load::Until::Time(Duration::from_secs(args.seconds));
            plan.rate = args.rate;
            load::run(&plan).map(|outcome| println!("{}", outcome.json()))
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

//! `cargo xtask`: the commands of the README. Each does its own set-up.

mod bench;
mod check;
mod command;
mod page;
mod setup;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use xtask::serve::Server;

#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build the page and serve it with the demo bundle.
    Demo {
        /// On 127.0.0.1.
        #[arg(long, default_value_t = 8080)]
        port: u16,
        /// Build only.
        #[arg(long)]
        no_serve: bool,
    },
    /// Run every check, the browser tests included.
    Test,
    /// Measure the page on the CPU, and what it makes a visitor download.
    Bench,
    /// Build `imn` and the page for release.
    Dist,
}

fn main() -> ExitCode {
    let done = match Cli::parse().task {
        Task::Demo { port, no_serve } => demo(port, no_serve),
        Task::Test => check::test(),
        Task::Bench => bench::bench(),
        Task::Dist => dist(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn demo(port: u16, no_serve: bool) -> anyhow::Result<()> {
    // A taken port is better known before a build of minutes.
    if !no_serve {
        Server::start(&command::root(), port)?;
    }
    let page = page::build(&setup::page_tools()?)?;
    if no_serve {
        println!("The page's folder: {}", page.display());
        return Ok(());
    }
    let server = Server::start(&page, port)?;
    println!("The page: {}", server.address());
    server.wait();
    Ok(())
}

fn dist() -> anyhow::Result<()> {
    let page = page::build(&setup::page_tools()?)?;
    command::run(command::cargo().args([
        "build",
        "--locked",
        "--package",
        "trainer",
        "--profile",
        "dist",
    ]))?;
    println!(
        "The program: {}\nThe page's folder: {}",
        command::imn("dist").display(),
        page.display()
    );
    Ok(())
}

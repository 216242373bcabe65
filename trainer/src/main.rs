//! `imn`: weights, data, prototypes, evaluation and export.

#![recursion_limit = "256"]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test fails by panicking"))]

#[macro_use]
mod output;

mod audit;
mod cli;
mod cues;
mod dataset;
mod device;
mod embed;
mod evaluate;
mod experiments;
mod export;
mod features;
mod files;
mod halves;
mod holdout;
mod learn;
mod link;
mod mentions;
mod metrics;
mod outcomes;
mod parallel;
mod pretrain;
mod prototypes;
mod reliability;
mod run;
mod spill;
mod statistics;
mod svg;
mod systems;
mod train;
mod trees;
mod weights;
mod write_run;

use std::process::ExitCode;

use clap::Parser as _;

use crate::cli::{Cli, Command, DataCommand, WeightsCommand};

fn main() -> ExitCode {
    let cli = Cli::parse();
    match dispatch(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("imn: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(cli: Cli) -> anyhow::Result<()> {
    let device = cli.device;
    match cli.command {
        Command::Weights(WeightsCommand::Fetch { to }) => weights::fetch(&weights::folder(to)?),
        Command::Weights(WeightsCommand::Import { kind, source, to }) => {
            weights::import(kind, &source, &to)
        }
        Command::Data(DataCommand::Import(foreign)) => dataset::import(&foreign, cli.json),
        Command::Data(DataCommand::World(args)) => {
            dataset::world(&args.source(), &args.destination, cli.json)
        }
        Command::Data(DataCommand::Audit { dataset }) => audit::audit(&dataset, cli.json),
        Command::Data(DataCommand::Check { dataset }) => dataset::check(&dataset, cli.json),
        Command::Features(args) => features::features(args, device),
        Command::Prototypes(args) => prototypes::prototypes(args, device),
        Command::Pretrain(args) => pretrain::pretrain(args, device, cli.json),
        Command::Train(args) => train::train(args, device, cli.json),
        Command::Embed(args) => embed::embed(args, device),
        Command::Link(args) => link::link(&args, device),
        Command::Eval(args) => evaluate::eval(args, device, cli.json),
        Command::Experiments(args) => experiments::experiments(&args, device),
        Command::Export(args) => export::export(&args.run, &args.bundle, args.precision),
        Command::ServeDevice(args) => device::serve(&args.listen, &device),
    }
}

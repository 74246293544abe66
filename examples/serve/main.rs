//! Serves a model directory over HTTP.
//!
//! ```text
//! cargo run --release --example intents
//! cargo run --release --example serve -- --model target/intents/model
//! curl -d '{"texts": ["how is the weather"]}' localhost:3000/predict
//! ```

mod server;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use counterweight::prelude::*;
use server::{Limits, serve};
use tokio::net::TcpListener;

/// Serves a model directory over HTTP: POST /predict, GET /health, GET /metrics
#[derive(Parser)]
struct Args {
    /// The directory of a saved model
    #[arg(long, default_value = "target/intents/model")]
    model: PathBuf,
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:3000")]
    listen: SocketAddr,
    #[command(flatten)]
    limits: Limits,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let model = Model::load(&args.model, &device::from_env()?)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(args.listen).await?;
        eprintln!("listening on http://{}", listener.local_addr()?);
        serve(listener, model, args.limits, stopped()).await
    })
}

/// Ctrl-C or, on Unix, SIGTERM.
async fn stopped() {
    let ctrl_c = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! { _ = ctrl_c => {}, _ = terminate.recv() => {} }
            return;
        }
    }
    drop(ctrl_c.await);
}

//! A device that another process serves: the test's own binary, in which only the ignored test
//! `serve` runs.

// Not every test binary kills it.
#![allow(dead_code)]

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

use burn::server::{RemoteServer, WebSocketTransport};
use counterweight::prelude::*;

/// The other process. It ends with this one, since its input does.
pub(crate) struct Server {
    process: Mutex<Child>,
    /// What [`device::named`] calls its device.
    pub(crate) name: String,
}

impl Server {
    pub(crate) fn start() -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "serve", "--ignored", "--nocapture"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut lines = lines.map_while(Result::ok);
        let name = lines.find(|line| line.starts_with("remote:")).unwrap();
        // A test that runs for a minute is told of, and where nobody reads that its process ends.
        std::thread::spawn(move || lines.for_each(drop));
        Self { process: Mutex::new(process), name }
    }

    pub(crate) fn device(&self) -> Device {
        device::named(&self.name).unwrap()
    }

    /// Kills it as a lost machine would go, without a word.
    pub(crate) fn kill(&self) {
        let mut process = self.process.lock().unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
    }
}

/// The other process's work.
pub(crate) fn serve() {
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    println!("\nremote:ws://{}", listener.local_addr().unwrap());
    let server = RemoteServer::new([Device::flex()]);
    server.serve(WebSocketTransport::from_listener(listener)).unwrap();
}

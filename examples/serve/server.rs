//! A model behind HTTP: `POST /predict`, `GET /health`, `GET /metrics`.
//!
//! One thread owns the model. Requests that wait are put together into one pass, so that many
//! small ones cost little more than one; when too many wait, new ones are refused at once.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use counterweight::Answer;
use counterweight::prelude::*;
use http_body_util::BodyExt;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry};
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// What a client may ask for.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Limits {
    /// Bytes of a request's body
    #[arg(long, default_value_t = 1 << 20)]
    pub(crate) body: usize,
    /// Texts of a request
    #[arg(long, default_value_t = 64)]
    pub(crate) texts: usize,
    /// Characters of a text
    #[arg(long, default_value_t = 10_000)]
    pub(crate) characters: usize,
    /// Requests that wait for the model; more are refused with 503
    #[arg(long, default_value_t = 256)]
    pub(crate) waiting: usize,
    /// Texts that go through the model at once
    #[arg(long, default_value_t = 64)]
    pub(crate) pass: usize,
    /// Connections at a time; more wait to be accepted
    #[arg(long, default_value_t = 1024)]
    pub(crate) connections: usize,
    /// Seconds for a request, from its head to its answer
    #[arg(long, default_value_t = 10.0)]
    pub(crate) seconds: f64,
}

impl Limits {
    fn time(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    texts: Vec<String>,
}

/// Why a request has no answer.
enum Refusal {
    Slow,
    TooLarge(String),
    Malformed(String),
    Unfit(String),
    Full,
    Failed(String),
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, reason) = match self {
            Self::Slow => (StatusCode::REQUEST_TIMEOUT, "the request took too long".to_owned()),
            Self::TooLarge(reason) => (StatusCode::PAYLOAD_TOO_LARGE, reason),
            Self::Malformed(reason) => (StatusCode::BAD_REQUEST, reason),
            Self::Unfit(reason) => (StatusCode::UNPROCESSABLE_ENTITY, reason),
            Self::Full => (StatusCode::SERVICE_UNAVAILABLE, "too many requests wait".to_owned()),
            Self::Failed(reason) => (StatusCode::INTERNAL_SERVER_ERROR, reason),
        };
        let mut response = (status, Json(serde_json::json!({ "error": reason }))).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from(1));
        }
        response
    }
}

/// Texts on their way to the model.
struct Job {
    texts: Vec<String>,
    reply: oneshot::Sender<Result<Vec<Answer>, String>>,
}

struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    texts: IntCounter,
    passes: IntCounter,
    waiting: IntGauge,
    seconds: Histogram,
}

impl Metrics {
    fn new() -> prometheus::Result<Self> {
        let requests = Opts::new("requests_total", "Requests for a prediction, by status");
        let seconds = HistogramOpts::new("request_seconds", "Time from head to answer")
            .buckets(vec![0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0]);
        let metrics = Self {
            registry: Registry::new(),
            requests: IntCounterVec::new(requests, &["status"])?,
            texts: IntCounter::new("texts_total", "Texts classified")?,
            passes: IntCounter::new("passes_total", "Passes through the model")?,
            waiting: IntGauge::new("waiting", "Requests that wait for the model")?,
            seconds: Histogram::with_opts(seconds)?,
        };
        metrics.registry.register(Box::new(metrics.requests.clone()))?;
        metrics.registry.register(Box::new(metrics.texts.clone()))?;
        metrics.registry.register(Box::new(metrics.passes.clone()))?;
        metrics.registry.register(Box::new(metrics.waiting.clone()))?;
        metrics.registry.register(Box::new(metrics.seconds.clone()))?;
        Ok(metrics)
    }
}

struct App {
    limits: Limits,
    jobs: mpsc::Sender<Job>,
    metrics: Arc<Metrics>,
    about: serde_json::Value,
}

impl App {
    /// The answer to a body, or why there is none.
    async fn predict(&self, mut body: Body) -> Result<Json<serde_json::Value>, Refusal> {
        let limits = &self.limits;
        let mut bytes = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|e| Refusal::Malformed(e.to_string()))?;
            bytes.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
            if bytes.len() > limits.body {
                let reason = format!("the body has more than {} bytes", limits.body);
                return Err(Refusal::TooLarge(reason));
            }
        }
        let question: Question = serde_json::from_slice(&bytes)
            .map_err(|e| Refusal::Malformed(format!(r#"{e}; wanted: {{"texts": ["…"]}}"#)))?;
        let count = question.texts.len();
        if count == 0 || count > limits.texts {
            let most = limits.texts;
            return Err(Refusal::Unfit(format!("{count} texts; allowed are 1 to {most}")));
        }
        for (at, text) in question.texts.iter().enumerate() {
            let (length, most) = (text.chars().count(), limits.characters);
            if length > most {
                let reason = format!("text {at} has {length} characters; allowed are {most}");
                return Err(Refusal::Unfit(reason));
            }
            if !text.contains(char::is_alphanumeric) {
                return Err(Refusal::Unfit(format!("text {at} has no letter or digit")));
            }
        }
        let (reply, answers) = oneshot::channel();
        let job = Job { texts: question.texts, reply };
        self.metrics.waiting.inc();
        if self.jobs.try_send(job).is_err() {
            self.metrics.waiting.dec();
            return Err(Refusal::Full);
        }
        let answers = answers.await.map_err(|_| Refusal::Failed("the model is gone".to_owned()))?;
        let answers: Vec<_> = (answers.map_err(Refusal::Failed)?.into_iter())
            .map(|a| serde_json::json!({ "class": a.class, "probability": a.probability }))
            .collect();
        Ok(Json(serde_json::json!({ "answers": answers })))
    }
}

async fn predict(State(app): State<Arc<App>>, body: Body) -> Response {
    let start = Instant::now();
    let answer = timeout(app.limits.time(), app.predict(body)).await;
    let response = answer.unwrap_or(Err(Refusal::Slow)).into_response();
    app.metrics.requests.with_label_values(&[response.status().as_str()]).inc();
    app.metrics.seconds.observe(start.elapsed().as_secs_f64());
    response
}

async fn metrics(State(app): State<Arc<App>>) -> Response {
    match prometheus::TextEncoder::new().encode_to_string(&app.metrics.registry.gather()) {
        Ok(text) => text.into_response(),
        Err(error) => Refusal::Failed(error.to_string()).into_response(),
    }
}

/// Answers jobs until nobody can send more, several in one pass where they wait.
fn work(model: &Model, mut jobs: mpsc::Receiver<Job>, pass: usize, metrics: &Metrics) {
    while let Some(first) = jobs.blocking_recv() {
        let mut count = first.texts.len();
        let mut batch = vec![first];
        while count < pass {
            let Ok(job) = jobs.try_recv() else { break };
            count += job.texts.len();
            batch.push(job);
        }
        metrics.waiting.sub(batch.len() as i64);
        // Nobody waits for these any more.
        batch.retain(|job| !job.reply.is_closed());
        if batch.is_empty() {
            continue;
        }
        let texts: Vec<&str> =
            batch.iter().flat_map(|job| &job.texts).map(String::as_str).collect();
        let answers = answer(model, &texts);
        metrics.passes.inc();
        metrics.texts.inc_by(texts.len() as u64);
        let mut answers = answers.map(Vec::into_iter);
        for job in batch {
            let own = match &mut answers {
                Ok(answers) => Ok(answers.by_ref().take(job.texts.len()).collect()),
                Err(reason) => Err(reason.clone()),
            };
            // A client that went away loses only its own answer.
            drop(job.reply.send(own));
        }
    }
}

fn answer(model: &Model, texts: &[&str]) -> Result<Vec<Answer>, String> {
    let answers = catch_unwind(AssertUnwindSafe(|| model.classify(texts)));
    match answers {
        Ok(answers) => answers.map_err(|e| e.to_string()),
        Err(_) => Err("the model failed".to_owned()),
    }
}

/// Serves until `stop`, then answers what was asked before, and ends.
pub(crate) async fn serve(
    listener: TcpListener,
    model: Model,
    limits: Limits,
    stop: impl Future<Output = ()>,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let metrics_of = Arc::new(Metrics::new()?);
    let (jobs, queue) = mpsc::channel(limits.waiting);
    let classes: Vec<&str> =
        (0..model.labels().len()).filter_map(|i| model.labels().name(i)).collect();
    let about = serde_json::json!({ "status": "ok", "classes": classes });
    let worker = std::thread::spawn({
        let metrics = metrics_of.clone();
        move || work(&model, queue, limits.pass, &metrics)
    });
    let app = Arc::new(App { limits, jobs, metrics: metrics_of, about });
    let router = Router::new()
        .route("/predict", post(predict))
        .route("/health", get(|State(app): State<Arc<App>>| async move { Json(app.about.clone()) }))
        .route("/metrics", get(metrics))
        .with_state(app);

    let room = Arc::new(Semaphore::new(limits.connections));
    let graceful = GracefulShutdown::new();
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.time());
    let mut stop = pin!(stop);
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let accept = async {
            let permit = room.clone().acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            both = accept => both,
            () = &mut stop => break,
        };
        // Out of file descriptors, or a client that left at once: others may still come.
        let Ok((stream, _)) = accepted else {
            sleep(Duration::from_millis(10)).await;
            continue;
        };
        let service = TowerToHyperService::new(router.clone());
        let connection = graceful.watch(http.serve_connection(TokioIo::new(stream), service));
        connections.spawn(async move {
            // The client closed in the middle, or was too slow with its head.
            drop(connection.await);
            drop(permit);
        });
    }
    drop(listener);
    // Every request ends by its own limit.
    let most = limits.time() + Duration::from_secs(1);
    drop(timeout(most, graceful.shutdown()).await);
    connections.shutdown().await;
    drop(router);
    tokio::task::spawn_blocking(move || worker.join()).await?.map_err(|_| "the worker failed")?;
    Ok(())
}

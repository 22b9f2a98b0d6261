//! Telling other programs by HTTP what happens, signed as Standard Webhooks has it
//! (<https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>).
//!
//! Each `[[webhook]]` is told in the order of things, one after the other: whoever cannot be reached is tried again, and what
//! happens meanwhile waits.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use foldback_config::Webhook;
use foldback_metrics::Metrics;
use reqwest::{Client, StatusCode, header, redirect};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinHandle;

use crate::conference::Conference;
use crate::happenings::Happening;
use crate::sentences::with_causes;

/// An answer must come within this time.
const PATIENCE: Duration = Duration::from_secs(10);
/// Before the second attempt; each further wait is twice as long, up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// What could not be told in this time is not told.
const GIVE_UP: Duration = Duration::from_secs(3600);
/// What may wait for one that cannot be reached.
const WAITING: usize = 1024;
/// At the end of the server what is left may still be told for so long.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Tells every webhook of the configuration that counts by then what happens, until the conference tells no more.
pub(crate) async fn tell(conference: Arc<Conference>, metrics: Metrics) {
    let mut live = conference.happenings.follow(None).live;
    let client = match client() {
        Ok(client) => client,
        Err(why) => return tracing::error!(%why, "webhooks cannot be told"),
    };
    let mut hooks: Vec<Hook> = Vec::new();
    loop {
        let happening = match live.recv().await {
            Ok(happening) => happening,
            Err(RecvError::Lagged(count)) => {
                tracing::error!(count, "so much happened at once that webhooks are not told of it");
                continue;
            }
            Err(RecvError::Closed) => break,
        };
        let running = conference.running();
        let configured = &running.config.webhooks;
        hooks.retain(|hook| configured.contains(&hook.config));
        for config in configured {
            if hooks.iter().all(|hook| hook.config != *config) {
                hooks.push(Hook::new(config, &client, &metrics));
            }
        }
        let (name, room) = (happening.what.name(), happening.what.room());
        let told = |hook: &&Hook| hook.config.wants(name, room) && !hook.task.is_finished();
        for hook in hooks.iter().filter(told) {
            if hook.queue.try_send((Instant::now(), Arc::clone(&happening))).is_err() {
                metrics.webhook("dropped");
                tracing::warn!(
                    url = hook.shown(),
                    "a webhook is not told of everything: too much waits for it"
                );
            }
        }
    }
    let deadline = Instant::now() + LAST_WORDS;
    for hook in hooks {
        hook.finish(deadline).await;
    }
}

/// By which all of them are told.
///
/// # Errors
/// A sentence, and what can be done.
pub(crate) fn client() -> Result<Client, String> {
    let client = Client::builder()
        .timeout(PATIENCE)
        .redirect(redirect::Policy::none())
        .user_agent(concat!("foldback/", env!("CARGO_PKG_VERSION")))
        .build();
    client.map_err(|error| {
        format!(
            "there is no client of HTTPS: {}; where there are no certificates of authorities, install `ca-certificates`",
            with_causes(&error)
        )
    })
}

type Told = (Instant, Arc<Happening>);

/// One that is told. Dropped, it is told no more.
struct Hook {
    config: Webhook,
    queue: Sender<Told>,
    task: JoinHandle<()>,
}

impl Hook {
    fn new(config: &Webhook, client: &Client, metrics: &Metrics) -> Self {
        let (queue, waiting) = channel(WAITING);
        let teller = Teller {
            url: config.url.expose().to_owned(),
            shown: shown(config.url.expose()),
            key: hmac::Key::new(hmac::HMAC_SHA256, &config.key()),
            client: client.clone(),
            metrics: metrics.clone(),
        };
        let task = tokio::spawn(teller.run(waiting));
        Self { config: config.clone(), queue, task }
    }

    fn shown(&self) -> String {
        shown(self.config.url.expose())
    }

    /// Lets it be told what waits for it, until `deadline` at the latest.
    async fn finish(mut self, deadline: Instant) {
        let (closed, _) = channel(1);
        self.queue = closed;
        let _ = tokio::time::timeout_at(deadline.into(), &mut self.task).await;
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Where it is, for the log: in what stands behind may be a secret.
fn shown(url: &str) -> String {
    url::Url::parse(url).map(|url| url.origin().ascii_serialization()).unwrap_or_default()
}

/// What came of an attempt.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Taken,
    /// Nobody wants to be told there any more (410).
    Gone,
    /// To be tried again, in this time if it says one.
    Later(String, Option<Duration>),
}

struct Teller {
    url: String,
    shown: String,
    key: hmac::Key,
    client: Client,
    metrics: Metrics,
}

impl Teller {
    async fn run(self, mut waiting: Receiver<Told>) {
        while let Some((since, happening)) = waiting.recv().await {
            if !self.deliver(since, &happening).await {
                return;
            }
        }
    }

    /// Tells of one thing, however often it takes; false, if nobody wants to know any more.
    async fn deliver(&self, since: Instant, happening: &Happening) -> bool {
        // Strings and numbers always serialise.
        let body = serde_json::to_string(happening).unwrap_or_default();
        let mut wait = FIRST_WAIT;
        let mut failed = false;
        loop {
            let (why, asked) = match self.attempt(&happening.id, &body).await {
                Answer::Taken => {
                    if failed {
                        tracing::info!(url = self.shown, "the webhook takes what it is told again");
                    }
                    self.metrics.webhook("told");
                    return true;
                }
                Answer::Gone => {
                    tracing::warn!(
                        url = self.shown,
                        "the webhook is gone (410), and is told no more"
                    );
                    self.metrics.webhook("given-up");
                    return false;
                }
                Answer::Later(why, asked) => (why, asked),
            };
            self.metrics.webhook_failed();
            if !failed {
                tracing::warn!(
                    url = self.shown,
                    why,
                    "the webhook could not be told; it is tried again"
                );
                failed = true;
            }
            let pause = asked.unwrap_or(wait).clamp(FIRST_WAIT, LONGEST_WAIT);
            if since.elapsed() + pause > GIVE_UP {
                self.metrics.webhook("given-up");
                tracing::error!(
                    url = self.shown,
                    id = happening.id,
                    "the webhook was not told of this for so long that it never will"
                );
                return true;
            }
            tokio::time::sleep(pause).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    async fn attempt(&self, id: &str, body: &str) -> Answer {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let request = self
            .client
            .post(&self.url)
            .header(header::CONTENT_TYPE, "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", now)
            .header("webhook-signature", signature(&self.key, id, now, body))
            .body(body.to_owned());
        match request.send().await {
            Ok(response) => match response.status() {
                status if status.is_success() => Answer::Taken,
                StatusCode::GONE => Answer::Gone,
                status => {
                    let after = response.headers().get(header::RETRY_AFTER);
                    let seconds = after.and_then(|after| after.to_str().ok()?.parse().ok());
                    Answer::Later(format!("it answers {status}"), seconds.map(Duration::from_secs))
                }
            },
            // Without the address, in which may be a secret.
            Err(error) => Answer::Later(with_causes(&error.without_url()), None),
        }
    }
}

/// HMAC-SHA256 over what the specification has: `id.timestamp.body`.
fn signature(key: &hmac::Key, id: &str, timestamp: u64, body: &str) -> String {
    let tag = hmac::sign(key, format!("{id}.{timestamp}.{body}").as_bytes());
    format!("v1,{}", BASE64_STANDARD.encode(tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_that_of_the_specification() {
        // The example of the libraries of Standard Webhooks.
        let key = BASE64_STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("Base64");
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        let body = "{\"test\": 2432232314}";
        let signature = signature(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn the_log_shows_where_a_webhook_is_and_nothing_behind_it() {
        assert_eq!(
            shown("https://example.org:8443/in/SECRET?key=SECRET"),
            "https://example.org:8443"
        );
    }
}

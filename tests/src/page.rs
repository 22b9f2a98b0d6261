//! The page that the server serves, driven as a person would: by its fields and buttons.

use std::time::{Duration, Instant};

use fantoccini::Locator;
use fantoccini::actions::{InputSource, KeyAction, KeyActions};
use serde_json::{Value, json};

use crate::{Browser, Server};

/// What a fresh connection takes until its sound is steady: the jitter buffers of both sides and
/// the browser's own start-up.
pub const SETTLING: Duration = Duration::from_secs(2);

/// Within which whatever a page does on request must have happened.
const PATIENCE: Duration = Duration::from_secs(20);

impl Browser {
    /// Opens the page with the browser's own processing off, joins the room and waits until the
    /// connection stands.
    ///
    /// # Panics
    /// If it does not within 20 s.
    pub async fn join(&self, server: &Server, room: &str, name: &str) {
        self.open(&server.url("/?ec=off&ns=off&agc=off")).await;
        self.enter(room, name).await;
    }

    /// Joins a room from the form of the open page, and waits until the connection stands.
    ///
    /// # Panics
    /// If it does not within 20 s.
    pub async fn enter(&self, room: &str, name: &str) {
        self.fill("#room", room).await;
        self.fill("#name", name).await;
        self.click("#join").await;
        self.wait_until(
            &format!("{name} is connected to {room}"),
            "return document.body.dataset.view === 'room' \
             && window.foldback?.pc?.connectionState === 'connected'",
        )
        .await;
    }

    /// Opens an address.
    ///
    /// # Panics
    /// If it cannot be loaded.
    pub async fn open(&self, url: &str) {
        self.client.goto(url).await.unwrap_or_else(|error| panic!("opening {url}: {error}"));
    }

    /// Mutes or unmutes: presses the button.
    ///
    /// # Panics
    /// If there is no such button, or it does not take effect.
    pub async fn toggle_mute(&self) {
        let muted = "return document.querySelector('#mute').dataset.muted";
        let before = self.script(muted, vec![]).await;
        self.click("#mute").await;
        self.wait_until("the mute button changed", &format!("{muted} !== '{}'", text(&before)))
            .await;
    }

    /// Leaves the room.
    ///
    /// # Panics
    /// If the join form does not come back.
    pub async fn leave(&self) {
        self.click("#leave").await;
        self.wait_until("the join form is back", "return document.body.dataset.view === 'join'")
            .await;
    }

    /// Looks at another tab for so long, with the page behind it.
    ///
    /// # Panics
    /// If the browser has no tabs, or the page was to be seen all the while.
    pub async fn look_elsewhere(&self, time: Duration) {
        const WATCH: &str =
            "window.hiddenAt = []; document.addEventListener('visibilitychange', () =>
            window.hiddenAt.push([document.visibilityState, performance.now()]));";
        const HIDDEN_MS: &str = "const [from, until] = window.hiddenAt;
            return from?.[0] === 'hidden' ? (until?.[1] ?? performance.now()) - from[1] : 0;";
        self.script(WATCH, vec![]).await;
        let page = self.client.window().await.expect("the page has a tab");
        let other = self.client.new_window(true).await.expect("another tab opens");
        let other = other.handle;
        self.client.switch_to_window(other).await.expect("the other tab is there");
        tokio::time::sleep(time).await;
        self.client.close_window().await.expect("the other tab closes");
        self.client.switch_to_window(page).await.expect("the page is there");
        let hidden_ms = self.script(HIDDEN_MS, vec![]).await.as_f64().unwrap_or(0.0);
        let seen = time.as_secs_f64() - hidden_ms / 1000.0;
        assert!(seen < 1.0, "the page was hidden for {hidden_ms} ms of {time:?}");
    }

    /// Presses a key and lets it go, wherever the focus is.
    ///
    /// # Panics
    /// If the browser takes no keys.
    pub async fn press(&self, key: char) {
        self.hold(key).await;
        self.let_go().await;
    }

    /// Presses a key.
    ///
    /// # Panics
    /// As [`Self::press`].
    pub async fn hold(&self, key: char) {
        let down = KeyActions::new("keyboard".to_owned()).then(KeyAction::Down { value: key });
        self.client.perform_actions(down).await.unwrap_or_else(|error| panic!("{key:?}: {error}"));
    }

    /// Lets go of all keys.
    ///
    /// # Panics
    /// As [`Self::press`].
    pub async fn let_go(&self) {
        self.client.release_actions().await.unwrap_or_else(|error| panic!("letting go: {error}"));
    }

    /// The names of those in the room as the page lists them, in alphabetical order.
    pub async fn participants(&self) -> Vec<String> {
        let names = self
            .script(
                "return [...document.querySelectorAll('#participants li[data-id] .name')]\
                 .map(name => name.textContent.trim()).sort()",
                vec![],
            )
            .await;
        names.as_array().into_iter().flatten().map(text).collect()
    }

    /// Waits until the page lists exactly these names, given in alphabetical order.
    ///
    /// # Panics
    /// If it does not within `patience`.
    pub async fn wait_for_participants(&self, expected: &[&str], patience: Duration) {
        let start = Instant::now();
        loop {
            let found = self.participants().await;
            let matches = found.len() == expected.len()
                && found.iter().zip(expected).all(|(found, name)| found.starts_with(name));
            if matches {
                return;
            }
            let waited = start.elapsed();
            assert!(
                waited < patience,
                "after {waited:?} the page lists {found:?}, not {expected:?}"
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits until a script returns true.
    ///
    /// # Panics
    /// If it does not within 20 s; with what the page's status line says.
    pub async fn wait_until(&self, what: &str, script: &str) {
        let start = Instant::now();
        while self.script(script, vec![]).await != json!(true) {
            if start.elapsed() > PATIENCE {
                let status = "return document.querySelector('#status')?.textContent \
                              + ' [' + window.foldback?.pc?.connectionState + ']'";
                let status = text(&self.script(status, vec![]).await);
                panic!("not within {PATIENCE:?}: {what}. The page says: {status}");
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Runs the body of a function in the page, with `arguments`, and returns what it returns.
    ///
    /// # Panics
    /// If it throws.
    pub async fn script(&self, body: &str, arguments: Vec<Value>) -> Value {
        let result = self.client.execute(body, arguments).await;
        result.unwrap_or_else(|error| panic!("{error}\nin the script:\n{body}"))
    }

    /// Runs the body of an async function in the page, with `arguments`, waits for it and returns
    /// what it returns.
    ///
    /// # Panics
    /// If it throws, or takes longer than a minute.
    pub async fn async_script(&self, body: &str, arguments: Vec<Value>) -> Value {
        let script = format!(
            "const done = arguments[arguments.length - 1]; \
             (async function () {{ {body} }}).apply(null, arguments) \
             .then(value => done({{ value }}), error => done({{ error: String(error) }}))"
        );
        let result = self.client.execute_async(&script, arguments).await;
        let result = result.unwrap_or_else(|error| panic!("{error}\nin the script:\n{body}"));
        if let Some(error) = result.get("error") {
            panic!("{error}\nin the script:\n{body}");
        }
        result["value"].clone()
    }

    /// Types into a field, in the place of what is there.
    ///
    /// # Panics
    /// If there is none.
    pub async fn fill(&self, selector: &str, value: &str) {
        let field = self.find(selector).await;
        field.clear().await.unwrap_or_else(|error| panic!("clearing {selector}: {error}"));
        field.send_keys(value).await.unwrap_or_else(|error| panic!("typing {selector}: {error}"));
    }

    /// Clicks on an element.
    ///
    /// # Panics
    /// If there is none, or another one is above it.
    pub async fn click(&self, selector: &str) {
        let button = self.find(selector).await;
        button.click().await.unwrap_or_else(|error| panic!("pressing {selector}: {error}"));
    }

    async fn find(&self, selector: &str) -> fantoccini::elements::Element {
        let found = self.client.find(Locator::Css(selector)).await;
        found.unwrap_or_else(|error| panic!("the page has no {selector}: {error}"))
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

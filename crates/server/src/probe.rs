//! `foldback health`: asks a server that runs, as what watches containers does.

use std::time::Duration;

use url::Url;

/// Within which it must have answered.
const PATIENCE: Duration = Duration::from_secs(3);

#[derive(Debug, clap::Args)]
pub(crate) struct HealthOptions {
    /// Where it serves its page, over HTTP or HTTPS, whatever its certificate.
    #[arg(default_value = "http://127.0.0.1:8080", value_parser = address)]
    url: Url,
}

fn address(text: &str) -> Result<Url, String> {
    let expected = || "expected an address such as http://127.0.0.1:8080".to_owned();
    let url = Url::parse(text).map_err(|_| expected())?;
    let is_web = matches!(url.scheme(), "http" | "https");
    (is_web && url.has_host()).then_some(url).ok_or_else(expected)
}

/// Asks, and prints the answer.
///
/// # Errors
/// Why it takes nobody, or that it does not answer.
#[allow(clippy::print_stdout, reason = "this is the command line")]
pub(crate) fn run(options: &HealthOptions) -> Result<(), String> {
    let url = options.url.join("/readyz").map_err(|error| error.to_string())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let (ready, said) = runtime
        .map_err(|error| error.to_string())?
        .block_on(ask(url))
        .map_err(|error| format!("{}: {}", options.url, innermost(&error)))?;
    if !ready {
        return Err(said);
    }
    println!("{}", said.trim_end());
    Ok(())
}

async fn ask(url: Url) -> Result<(bool, String), reqwest::Error> {
    // It is asked itself, whatever proxy others are reached by, and mostly by an address that its certificate does not name.
    // Nothing is told it.
    let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE);
    let client = client.tls_danger_accept_invalid_certs(true).build()?;
    let answer = client.get(url).send().await?;
    Ok((answer.status().is_success(), answer.text().await?))
}

/// What the others only say that it failed.
fn innermost(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), innermost)
}

//! Whether a server would stand open to a network without anybody having said so.

use foldback_config::Config;

/// Lets a configuration through that serves this machine alone, or says who may come in.
///
/// # Errors
/// A sentence with what can be done.
pub(crate) fn check(config: &Config) -> Result<(), String> {
    let (listen, auth) = (config.server.listen, &config.auth);
    let unguarded = config.rooms.iter().find(|rule| rule.pin.is_none());
    let Some(rule) = unguarded.filter(|_| !auth.open && !auth.has_keys()) else { return Ok(()) };
    if listen.ip().to_canonical().is_loopback() {
        return Ok(());
    }
    Err(format!(
        "foldback is to listen on {listen}, where others than this machine may reach it, and nothing says who may join rooms \
         called \"{}\". Do one of these:\n  \
         - let everybody join: `open = true` in [auth], or --open\n  \
         - let those join who have a token: `token_secret_file` in [auth], and `foldback token create`\n  \
         - let those join who know a PIN: `pin` in [[room]]\n  \
         - let this machine alone join: `listen = \"127.0.0.1:{}\"` in [server]\n\
         docs/security.md says more.",
        rule.pattern,
        listen.port()
    ))
}

#[cfg(test)]
mod tests {
    use foldback_chain::Registry;
    use foldback_config::Secret;

    use super::*;

    const CHAIN: &str = "[chain.talk]\nstages = [{ kind = \"mix\" }]\n";
    const BOARD: &str = "[[room]]\nname = \"board\"\nchain = \"talk\"\npin = \"471100\"\n";
    const OTHERS: &str = "[[room]]\nname = \"*\"\nchain = \"talk\"\n";

    fn config(listen: &str, more: &str) -> Config {
        let file = format!("{CHAIN}{more}[server]\nlisten = \"{listen}\"\n");
        Config::parse(&file, "t.toml", &Registry::new(&[])).expect("valid")
    }

    #[test]
    fn a_server_that_others_reach_says_who_may_join_or_does_not_start() {
        for here in ["127.0.0.1:8080", "[::1]:8080", "127.8.8.8:1"] {
            assert_eq!(check(&config(here, "")), Ok(()), "{here}");
        }
        for there in ["0.0.0.0:8080", "[::]:8080", "192.0.2.1:80"] {
            let refused = check(&config(there, &format!("{BOARD}{OTHERS}"))).expect_err(there);
            assert!(refused.contains(there) && refused.contains("called \"*\""), "{refused}");
            assert_eq!(check(&config(there, BOARD)), Ok(()), "each room has a PIN");
            assert_eq!(check(&config(there, "[auth]\nopen = true\n")), Ok(()));
            let mut with_keys = config(there, "");
            with_keys.auth.token_secrets =
                vec![Secret::from("0123456789abcdef0123456789abcdef".to_owned())];
            assert_eq!(check(&with_keys), Ok(()));
        }
    }
}

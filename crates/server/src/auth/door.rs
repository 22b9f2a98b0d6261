//! The door of the rooms.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use foldback_config::{Config, Secret};
use subtle::ConstantTimeEq;

use super::host::wrong_room;
use super::per_address::PerAddress;
use super::seats::{Seat, Seats};
use super::token::{self, Claims, Role};
use super::{Caller, Credentials};
use crate::message::{ErrorCode, ErrorMessage};
use crate::names;

/// What an address may do in this time it may do at once.
const MINUTE: Duration = Duration::from_secs(60);

/// An address may guess wrong ten times at once, and once more in each 6 s.
const GUESS_COST: Duration = Duration::from_secs(6);

/// Sockets of one address on which nobody has joined.
const WAITING: usize = 100;

/// Lets people in.
#[derive(Debug)]
pub struct Door {
    joins: PerAddress,
    guesses: PerAddress,
    seats: Arc<Seats>,
}

/// What whoever wants to come in says.
#[derive(Clone, Copy)]
pub(crate) struct Wish<'a> {
    pub(crate) room: &'a str,
    pub(crate) name: &'a str,
    pub(crate) credentials: &'a Credentials,
}

/// Whom the door has let in, and where to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Admitted {
    pub(crate) room: String,
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) shared: Option<SharedToken>,
}

#[cfg(test)]
impl Admitted {
    pub(crate) fn of(room: &str, name: &str) -> Self {
        Self { room: room.to_owned(), name: name.to_owned(), ..Self::default() }
    }
}

/// A token by which only so many may be in at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SharedToken {
    /// All of it but the signature: which may differ where it says the same.
    pub(crate) payload: Arc<str>,
    pub(crate) max: usize,
}

impl SharedToken {
    fn of(claims: &Claims, token: &str) -> Option<Self> {
        let payload = token.rsplit_once('.').map_or(token, |(signed, _)| signed);
        claims.max.map(|max| Self { payload: payload.into(), max })
    }
}

impl Default for Door {
    fn default() -> Self {
        let (joins, guesses) = (PerAddress::new(MINUTE), PerAddress::new(MINUTE));
        Self { joins, guesses, seats: Seats::new(usize::MAX, WAITING) }
    }
}

impl Door {
    /// Counts an attempt to join from `address`. This machine's own are not counted: whoever has programs there need not
    /// come by the network, and without a proxy that is trusted all who come through one would be one.
    ///
    /// # Errors
    /// `too-fast`.
    pub(crate) fn knock(&self, config: &Config, address: IpAddr) -> Result<(), ErrorMessage> {
        let per_minute = config.limits.joins_per_minute;
        if per_minute == 0 || address.is_loopback() {
            return Ok(());
        }
        if self.joins.take(address, Instant::now(), MINUTE / per_minute) {
            return Ok(());
        }
        tracing::info!(%address, "joins too often");
        let sentence = format!(
            "Your address joined more often than {per_minute} times in a minute; wait some seconds."
        );
        Err(ErrorMessage::new(ErrorCode::TooFast, sentence))
    }

    /// A seat for a socket until somebody joins by it. This machine's own sockets take none.
    ///
    /// # Errors
    /// `too-fast`.
    pub(crate) fn seat(&self, address: IpAddr) -> Result<Option<Seat>, ErrorMessage> {
        if address.is_loopback() {
            return Ok(None);
        }
        self.seats.take(address).map(Some).ok_or_else(|| {
            tracing::info!(%address, "too many sockets on which nobody joins");
            let sentence =
                "Your address has many sockets open on which nobody joined; wait some seconds.";
            ErrorMessage::new(ErrorCode::TooFast, sentence)
        })
    }

    /// Lets somebody in who knocked.
    ///
    /// # Errors
    /// `bad-room`, `bad-name`, or as [`Self::check`].
    pub(crate) fn admit(
        &self,
        config: &Config,
        caller: Caller,
        wish: Wish<'_>,
    ) -> Result<Admitted, ErrorMessage> {
        let refused = |code| move |sentence| ErrorMessage::new(code, sentence);
        let room = names::check_room(wish.room).map_err(refused(ErrorCode::BadRoom))?;
        let claims = self.check(config, caller, &room, wish.credentials)?;
        let named = claims.as_ref().and_then(|claims| claims.name.as_deref());
        let name = names::check_person(named.unwrap_or(wish.name));
        let name = name.map_err(refused(ErrorCode::BadName))?;
        let Some(claims) = claims else {
            return Ok(Admitted { room, name, ..Admitted::default() });
        };
        let token = wish.credentials.token().unwrap_or_default();
        let shared = SharedToken::of(&claims, token);
        Ok(Admitted { room, name, role: claims.role, shared })
    }

    /// Whether whoever shows this may be in a room, and what their token says, if they have one. A token is looked at before a PIN.
    ///
    /// # Errors
    /// `token-required`, `bad-token`, `token-expired`, `wrong-room`, `pin-required`, `wrong-pin` or `too-fast`.
    pub(crate) fn check(
        &self,
        config: &Config,
        caller: Caller,
        room: &str,
        credentials: &Credentials,
    ) -> Result<Option<Claims>, ErrorMessage> {
        if let Some(token) = credentials.token() {
            let claims = token::read(token, &config.auth)?;
            return if claims.opens(room) { Ok(Some(claims)) } else { Err(wrong_room()) };
        }
        let rule = config.rule_for_room(room);
        match rule.and_then(|rule| rule.pin.as_ref()) {
            Some(pin) => self.check_pin(pin, caller.address, room, credentials.pin())?,
            None => check_open(config, caller)?,
        }
        Ok(None)
    }

    /// Whether whoever shows this may hear themselves in a room of their own.
    ///
    /// # Errors
    /// `token-required`, `bad-token` or `token-expired`.
    pub(crate) fn check_echo(
        &self,
        config: &Config,
        caller: Caller,
        credentials: &Credentials,
    ) -> Result<Option<SharedToken>, ErrorMessage> {
        match credentials.token() {
            Some(token) => token::read(token, &config.auth).map(|it| SharedToken::of(&it, token)),
            None => check_open(config, caller).map(|()| None),
        }
    }

    /// Who guesses too fast is not told whether they guessed right.
    fn check_pin(
        &self,
        pin: &Secret,
        address: IpAddr,
        room: &str,
        said: Option<&str>,
    ) -> Result<(), ErrorMessage> {
        let (now, said) = (Instant::now(), said.unwrap_or_default());
        if said.is_empty() {
            let sentence = "This room asks for a PIN.";
            return Err(ErrorMessage::new(ErrorCode::PinRequired, sentence));
        }
        if !self.guesses.has(address, now, GUESS_COST) {
            tracing::warn!(%address, room, "guesses PINs");
            let sentence = "So many wrong PINs came from your address that none is looked at just now; wait a minute.";
            return Err(ErrorMessage::new(ErrorCode::TooFast, sentence));
        }
        if bool::from(pin.expose().as_bytes().ct_eq(said.as_bytes())) {
            return Ok(());
        }
        self.guesses.take(address, now, GUESS_COST);
        let sentence = "This is not the PIN of this room.";
        Err(ErrorMessage::new(ErrorCode::WrongPin, sentence))
    }
}

/// Without tokens, and unless it is told to be open, the server is this machine's alone.
fn check_open(config: &Config, caller: Caller) -> Result<(), ErrorMessage> {
    let auth = &config.auth;
    if auth.open || (caller.is_here && !auth.has_keys()) {
        return Ok(());
    }
    let sentence = match auth.has_keys() {
        true => "To come in here you need an invitation: a link with a token in it.",
        false => {
            "This server lets nobody in but from its own machine; whoever runs it can open it by [auth] in its configuration."
        }
    };
    Err(ErrorMessage::new(ErrorCode::TokenRequired, sentence))
}

#[cfg(test)]
mod tests {
    use foldback_chain::Registry;

    use super::*;

    const FILE: &str = "[chain.talk]\nstages = [{ kind = \"mix\" }]\n[limits]\njoins_per_minute = 2\n\
        [[room]]\nname = \"board\"\nchain = \"talk\"\npin = \"471100\"\n\
        [[room]]\nname = \"*\"\nchain = \"talk\"\n";

    fn config() -> Config {
        Config::parse(FILE, "t.toml", &Registry::new(&[])).expect("valid")
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn caller(text: &str) -> Caller {
        Caller { address: address(text), is_here: address(text).is_loopback() }
    }

    fn with_pin(pin: Option<&str>) -> Credentials {
        Credentials { pin: pin.map(|pin| Secret::from(pin.to_owned())), token: None }
    }

    fn code<T>(result: Result<T, ErrorMessage>) -> Option<ErrorCode> {
        result.err().map(|error| error.code)
    }

    #[test]
    fn an_address_joins_so_often_in_a_minute_and_this_machine_as_it_likes() {
        let (door, config) = (Door::default(), config());
        let knock = |from| code(door.knock(&config, address(from)));
        assert_eq!([knock("192.0.2.1"), knock("192.0.2.1")], [None; 2]);
        assert_eq!(knock("192.0.2.1"), Some(ErrorCode::TooFast));
        assert_eq!(knock("192.0.2.2"), None);
        for _ in 0..9 {
            assert_eq!(knock("127.0.0.1"), None);
        }
    }

    #[test]
    fn a_pin_opens_its_rooms_and_no_other_asks_for_one() {
        let (door, mut config) = (Door::default(), config());
        config.auth.open = true;
        let ask = |room, pin| {
            let wish = Wish { room, name: "Ann", credentials: &with_pin(pin) };
            code(door.admit(&config, caller("192.0.2.1"), wish))
        };
        assert_eq!(ask("board", Some("471100")), None);
        assert_eq!(ask("lobby", None), None);
        assert_eq!(ask("lobby", Some("anything")), None);
        assert_eq!(ask("board", None), Some(ErrorCode::PinRequired));
        assert_eq!(ask("board", Some("")), Some(ErrorCode::PinRequired));
        for wrong in ["47110", "4711000", "471101", " 471100"] {
            assert_eq!(ask("board", Some(wrong)), Some(ErrorCode::WrongPin), "{wrong:?}");
        }
    }

    #[test]
    fn who_guesses_on_is_not_told_that_a_guess_was_right_and_nobody_else_waits_for_it() {
        let (door, config) = (Door::default(), config());
        let ask = |from: &str, pin: &str| {
            let wish = Wish { room: "board", name: "Ann", credentials: &with_pin(Some(pin)) };
            code(door.admit(&config, caller(from), wish))
        };
        for guess in 0..10 {
            let guess = format!("{guess:06}");
            assert_eq!(ask("127.0.0.1", &guess), Some(ErrorCode::WrongPin), "{guess}");
        }
        assert_eq!(ask("127.0.0.1", "471100"), Some(ErrorCode::TooFast));
        assert_eq!(ask("192.0.2.2", "471100"), None);
    }

    #[test]
    fn no_message_shows_a_pin() {
        let (door, config) = (Door::default(), config());
        let guess = with_pin(Some("guessed"));
        let wish = Wish { room: "board", name: "Ann", credentials: &guess };
        let error = door.admit(&config, caller("192.0.2.1"), wish).expect_err("wrong");
        assert!(!error.message.contains("guessed"), "{error:?}");
        assert!(!format!("{config:?}").contains("471100"));
    }

    #[test]
    fn without_keys_this_machine_alone_comes_in_unless_the_server_is_open() {
        let (door, mut config) = (Door::default(), config());
        let ask = |config: &Config, from| {
            code(door.check(config, caller(from), "lobby", &Credentials::default()))
        };
        assert_eq!(ask(&config, "127.0.0.1"), None);
        assert_eq!(ask(&config, "192.0.2.1"), Some(ErrorCode::TokenRequired));
        let pin = with_pin(Some("471100"));
        assert_eq!(code(door.check(&config, caller("192.0.2.1"), "board", &pin)), None);
        let echo = |config: &Config, from| {
            code(door.check_echo(config, caller(from), &Credentials::default()))
        };
        assert_eq!(echo(&config, "127.0.0.1"), None);
        assert_eq!(echo(&config, "192.0.2.1"), Some(ErrorCode::TokenRequired));
        config.auth.open = true;
        assert_eq!([ask(&config, "192.0.2.1"), echo(&config, "192.0.2.1")], [None; 2]);
    }

    #[test]
    fn a_token_opens_its_rooms_for_one_who_is_called_and_may_do_as_it_says() {
        let (door, mut config) = (Door::default(), config());
        let secret = Secret::from("0123456789abcdef0123456789abcdef".to_owned());
        config.auth.token_secrets = vec![secret.clone()];
        let claims = Claims {
            room: "b*".to_owned(),
            name: Some("Ann".to_owned()),
            role: Role::Listener,
            max: Some(2),
            exp: token::now() + 60,
            iat: None,
        };
        let made = token::sign(&claims, &token::Signer::Secret(secret)).expect("signed");
        let credentials = Credentials { pin: None, token: Some(Secret::from(made.clone())) };
        let ask = |room, credentials: &Credentials| {
            door.admit(&config, caller("192.0.2.1"), Wish { room, name: "Eve", credentials })
        };
        let admitted = ask("board", &credentials).expect("it opens the room, also without the PIN");
        assert_eq!((admitted.name.as_str(), admitted.role), ("Ann", Role::Listener));
        let shared = admitted.shared.expect("it is for two");
        assert_eq!(shared.max, 2);
        assert!(made.starts_with(&*shared.payload) && made != *shared.payload);
        assert_eq!(code(ask("lobby", &credentials)), Some(ErrorCode::WrongRoom));
        let nothing = Credentials::default();
        assert_eq!(code(ask("lobby", &nothing)), Some(ErrorCode::TokenRequired));
        let here = door.check(&config, caller("127.0.0.1"), "lobby", &nothing);
        assert_eq!(code(here), Some(ErrorCode::TokenRequired), "for this machine too");
    }
}

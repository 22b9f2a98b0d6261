//! The door of the rooms.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use foldback_config::Config;
use subtle::ConstantTimeEq;

use super::per_address::PerAddress;
use crate::message::{ErrorCode, ErrorMessage};
use crate::names;

/// What an address may do in this time it may do at once.
const MINUTE: Duration = Duration::from_secs(60);

/// An address may guess wrong ten times at once, and once more in each 6 s.
const GUESS_COST: Duration = Duration::from_secs(6);

/// Lets people in.
#[derive(Debug)]
pub struct Door {
    joins: PerAddress,
    guesses: PerAddress,
}

/// What whoever wants to come in says.
#[derive(Clone, Copy)]
pub(crate) struct Wish<'a> {
    pub(crate) room: &'a str,
    pub(crate) name: &'a str,
    pub(crate) pin: Option<&'a str>,
}

/// Whom the door has let in, and where to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Admitted {
    pub(crate) room: String,
    pub(crate) name: String,
}

impl Default for Door {
    fn default() -> Self {
        Self { joins: PerAddress::new(MINUTE), guesses: PerAddress::new(MINUTE) }
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

    /// Lets somebody in who knocked.
    ///
    /// # Errors
    /// `bad-room`, `bad-name`, `pin-required`, `wrong-pin` or `too-fast`.
    pub(crate) fn admit(
        &self,
        config: &Config,
        address: IpAddr,
        wish: Wish<'_>,
    ) -> Result<Admitted, ErrorMessage> {
        let refused = |code| move |sentence| ErrorMessage::new(code, sentence);
        let room = names::check_room(wish.room).map_err(refused(ErrorCode::BadRoom))?;
        let name = names::check_person(wish.name).map_err(refused(ErrorCode::BadName))?;
        self.check_pin(config, address, &room, wish.pin)?;
        Ok(Admitted { room, name })
    }

    /// Whether whoever says `said` may know who is in a room. Who guesses too fast is not told whether they guessed right.
    ///
    /// # Errors
    /// `pin-required`, `wrong-pin` or `too-fast`.
    pub(crate) fn check_pin(
        &self,
        config: &Config,
        address: IpAddr,
        room: &str,
        said: Option<&str>,
    ) -> Result<(), ErrorMessage> {
        let rule = config.rule_for_room(room);
        let Some(pin) = rule.and_then(|rule| rule.pin.as_ref()) else { return Ok(()) };
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
        let (door, config) = (Door::default(), config());
        let ask = |room, pin| {
            code(door.admit(&config, address("192.0.2.1"), Wish { room, name: "Ann", pin }))
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
            let wish = Wish { room: "board", name: "Ann", pin: Some(pin) };
            code(door.admit(&config, address(from), wish))
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
        let wish = Wish { room: "board", name: "Ann", pin: Some("guessed") };
        let error = door.admit(&config, address("192.0.2.1"), wish).expect_err("wrong");
        assert!(!error.message.contains("guessed"), "{error:?}");
        assert!(!format!("{config:?}").contains("471100"));
    }
}

//! Who may mute people in a room and take them out: its hosts, and the operator.

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use serde::Deserialize;

use super::Credentials;
use super::token::{self, Role};
use crate::http::{App, HttpError, check_room};
use crate::message::{ErrorCode, ErrorMessage};

/// Extracted by handlers under `/api/v1/rooms/{room}` of what its hosts may do: refuses requests of anybody else.
#[derive(Clone, Debug)]
pub(crate) struct AsHost {
    /// What a host is called by their token; the operator is called nothing.
    pub(crate) name: Option<String>,
}

#[derive(Deserialize)]
struct OfRoom {
    room: String,
}

impl FromRequestParts<App> for AsHost {
    type Rejection = HttpError;

    async fn from_request_parts(request: &mut Parts, app: &App) -> Result<Self, HttpError> {
        // The operator's own token may look like a host's.
        let Err(refused) = app.operator.check(request) else { return Ok(Self { name: None }) };
        let credentials = Credentials::of(&request.headers);
        let Some(token) = credentials.token() else { return Err(refused.into()) };
        let room = Path::<OfRoom>::from_request_parts(request, app).await;
        let Path(OfRoom { room }) = room.map_err(|rejection| {
            ErrorMessage::new(ErrorCode::NotFound, format!("{}.", rejection.body_text()))
        })?;
        let claims = token::read(token, &app.conference.running().config.auth)?;
        if !claims.opens(&check_room(&room)?) {
            return Err(wrong_room().into());
        }
        match claims.role {
            Role::Host => Ok(Self { name: claims.name }),
            Role::Talker | Role::Listener => Err(ErrorMessage::new(
                ErrorCode::Forbidden,
                "This is for hosts of the room and for the operator; your token says neither.",
            )
            .into()),
        }
    }
}

pub(super) fn wrong_room() -> ErrorMessage {
    ErrorMessage::new(ErrorCode::WrongRoom, "Your token is for another room than this one.")
}

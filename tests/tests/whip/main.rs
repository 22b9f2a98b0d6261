//! WHIP and WHEP: what each request is answered with, and sound from and to clients that are not ours.

mod clients;
mod status;

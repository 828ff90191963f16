//! Names for requests with streaming bodies, so that a client whose connection was cut can ask why.
//!
//! HTTP/1.1 has no way to say "this failed" after the head of an answer is out, except to cut the connection. Every
//! request with a streaming body therefore has an id, under which the daemon keeps the reason of a failure for a while.
//! The client may choose it (then it knows it even if the head of the answer is lost); otherwise the daemon does. The
//! answer repeats it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{hex, unhex};

/// Header that carries the id, in the request and in the answer.
pub const OPERATION_HEADER: &str = "chordage-operation";

/// Random name of one request. Daemons name it to each other as its 16 bytes, and in their logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct OperationId([u8; 16]);

/// The text is not 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an operation id has 32 hexadecimal digits")]
pub struct OperationIdError;

impl OperationId {
    /// A fresh one.
    pub fn random() -> Self {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)
            .expect("the system has a random generator; without it no key could be made either");
        OperationId(bytes)
    }
}

impl fmt::Display for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl FromStr for OperationId {
    type Err = OperationIdError;

    fn from_str(text: &str) -> Result<Self, OperationIdError> {
        let bytes = unhex(text).ok_or(OperationIdError)?;
        Ok(OperationId(bytes.try_into().map_err(|_| OperationIdError)?))
    }
}

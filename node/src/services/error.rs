//! Why something about a service did not succeed.

use std::io;

use chordage_api::service::{ServiceAddr, ServiceError};
use chordage_api::{OpenName, OpenNameError};
use chordage_dht::RendezvousError;

use super::book::{OWN_MAX, OWN_PER_NAME_MAX};
use crate::place::PlaceError;

/// See the module's description.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServicesError {
    /// The text is no name of a service.
    #[error(transparent)]
    BadName(#[from] OpenNameError),
    /// An address or attribute cannot be one.
    #[error(transparent)]
    BadService(#[from] ServiceError),
    /// This daemon registers too much.
    #[error("this daemon registers {OWN_MAX} services, which is the most it takes")]
    Full,
    /// This daemon registers too much under one name.
    #[error(
        "this daemon registers {OWN_PER_NAME_MAX} addresses under `{0}`, which is the most it takes under one name"
    )]
    FullName(OpenName),
    /// There is nothing to withdraw.
    #[error("this daemon does not register `{name}`{}", addr.as_ref().map(|addr| format!(" at {addr}")).unwrap_or_default())]
    NotRegistered {
        /// The service.
        name: OpenName,
        /// Where it was said to listen.
        addr: Option<ServiceAddr>,
    },
    /// What it registers cannot be written down.
    #[error("what this daemon registers cannot be written down: {0}")]
    Io(#[from] io::Error),
    /// Something in the network.
    #[error(transparent)]
    Place(#[from] PlaceError),
}

impl From<RendezvousError> for ServicesError {
    fn from(error: RendezvousError) -> Self {
        ServicesError::Place(error.into())
    }
}

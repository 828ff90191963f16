//! Why there is no reservation or circuit, out of the errors in which libp2p wraps it.

use std::error::Error;

use libp2p::relay::outbound::hop::{ConnectError, ReserveError};

use super::super::causes;

/// Why a relay has not done what it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RelayRefusal {
    /// It has as many reservations or circuits as it allows, in all or from here.
    #[error("the relay has as many as it allows")]
    Full,
    /// It is no relay, or none any more.
    #[error("it is no relay")]
    NoRelay,
    /// It does not want this daemon.
    #[error("the relay refused")]
    Unwanted,
    /// Nobody has reserved there under this id.
    #[error("the relay has no reservation of this peer")]
    NoReservation,
    /// The peer has reserved there and yet does not answer.
    #[error("the relay does not get through to the peer")]
    Unreachable,
    /// It broke off, or said what cannot be understood.
    #[error("the relay broke off")]
    Broken,
}

/// What a relay has refused, if that is what an error is about.
pub(crate) fn why_refused(error: &(dyn Error + 'static)) -> Option<RelayRefusal> {
    causes(error).find_map(|cause| {
        let reserve = cause.downcast_ref().map(|reserve| match reserve {
            ReserveError::Refused => RelayRefusal::Unwanted,
            ReserveError::ResourceLimitExceeded => RelayRefusal::Full,
            ReserveError::Unsupported => RelayRefusal::NoRelay,
            ReserveError::Io(_) | ReserveError::Protocol(_) => RelayRefusal::Broken,
        });
        reserve.or_else(|| {
            cause.downcast_ref().map(|connect| match connect {
                ConnectError::ResourceLimitExceeded => RelayRefusal::Full,
                ConnectError::ConnectionFailed => RelayRefusal::Unreachable,
                ConnectError::NoReservation => RelayRefusal::NoReservation,
                ConnectError::PermissionDenied => RelayRefusal::Unwanted,
                ConnectError::Unsupported => RelayRefusal::NoRelay,
                ConnectError::Io(_) | ConnectError::Protocol(_) => RelayRefusal::Broken,
            })
        })
    })
}

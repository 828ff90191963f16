//! Requests about the network of the daemon.

use super::{Client, ClientError};
use crate::types::{InviteInfo, InviteMade, InviteWanted, NetworkInfo, NewKeyWanted, RevocationWanted};
use crate::uri::encode;

impl Client {
    /// The network of the daemon, and who does not belong to it any more.
    pub async fn network(&self) -> Result<NetworkInfo, ClientError> {
        self.exchange.get_json("/v1/network").await
    }

    /// Has the daemon make an invite. Only this answer has it.
    pub async fn invite(&self, wanted: &InviteWanted) -> Result<InviteMade, ClientError> {
        self.post_body("/v1/network/invites", wanted).await
    }

    /// Has the daemon take back an invite that it has made: its id, or at least the first 8 digits of it.
    pub async fn withdraw_invite(&self, id: &str) -> Result<InviteInfo, ClientError> {
        self.exchange.delete_json(&format!("/v1/network/invites/{}", encode(id.as_bytes()))).await
    }

    /// Has the daemon revoke somebody's certificate, and tell everybody.
    pub async fn revoke(&self, wanted: &RevocationWanted) -> Result<NetworkInfo, ClientError> {
        self.post_body("/v1/network/revocations", wanted).await
    }

    /// Has the founder's daemon make a new network key, and tell everybody.
    pub async fn new_network_key(&self, wanted: &NewKeyWanted) -> Result<NetworkInfo, ClientError> {
        self.post_body("/v1/network/key", wanted).await
    }

    /// Has the daemon ask for a new certificate now.
    pub async fn renew_certificate(&self) -> Result<NetworkInfo, ClientError> {
        self.post_query("/v1/network/renew", &[]).await
    }
}

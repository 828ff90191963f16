//! Requests about names.

use bytes::Bytes;
use http_body_util::Full;
use hyper::Method;
use hyper::header::{ACCEPT, CONTENT_TYPE};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Client, ClientError};
use crate::exchange::json;
use crate::name_watch::NameWatch;
use crate::types::{NameInfo, NameVersion, PublishReport, PublishRequest, Resolved, SealRequest, SealedKey};
use crate::uri::with_query;

impl Client {
    /// The names whose keys the daemon has.
    pub async fn names(&self) -> Result<Vec<NameInfo>, ClientError> {
        self.exchange.get_json("/v1/names").await
    }

    /// Has the daemon make a key and call it `petname`.
    pub async fn create_name(&self, petname: &str) -> Result<NameInfo, ClientError> {
        self.exchange.post_json(&with_query("/v1/names/create", &[("name", Some(petname.to_owned()))])).await
    }

    /// Has the daemon forget a key for good.
    pub async fn delete_name(&self, petname: &str) -> Result<(), ClientError> {
        let uri = with_query("/v1/names/delete", &[("name", Some(petname.to_owned()))]);
        let answer = self
            .exchange
            .send(self.exchange.request(Method::POST, &uri), Full::<Bytes>::default(), None)
            .await?;
        self.exchange.checked(answer).await.map(drop)
    }

    /// The key of a name under a passphrase of at least 10 characters.
    pub async fn export_name(&self, petname: &str, passphrase: &str) -> Result<SealedKey, ClientError> {
        self.post_seal("/v1/names/export", petname, passphrase, None).await
    }

    /// Has the daemon take a key in that was exported, and call it `petname`.
    pub async fn import_name(
        &self,
        petname: &str,
        passphrase: &str,
        sealed: &str,
    ) -> Result<NameInfo, ClientError> {
        self.post_seal("/v1/names/import", petname, passphrase, Some(sealed)).await
    }

    async fn post_seal<T: DeserializeOwned>(
        &self,
        uri: &str,
        petname: &str,
        passphrase: &str,
        sealed: Option<&str>,
    ) -> Result<T, ClientError> {
        let request = SealRequest {
            petname: petname.to_owned(),
            passphrase: passphrase.to_owned(),
            sealed: sealed.map(str::to_owned),
        };
        self.post_body(uri, &request).await
    }

    /// Says what a name of the daemon's keyring is to stand for.
    pub async fn publish_name(&self, request: &PublishRequest) -> Result<PublishReport, ClientError> {
        self.post_body("/v1/names/publish", request).await
    }

    /// Posts a document and reads the answer.
    pub(super) async fn post_body<T: DeserializeOwned>(
        &self,
        uri: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        // These types can always be encoded.
        let body = serde_json::to_vec(body).unwrap_or_default();
        let request = self.exchange.request(Method::POST, uri).header(CONTENT_TYPE, "application/json");
        let answer = self.exchange.send(request, Full::new(Bytes::from(body)), None).await?;
        json(self.exchange.checked(answer).await?, self.exchange.timeouts.stall).await
    }

    /// What a name stands for: by the first answer, or with `quorum` by that of a majority of those who keep it; with
    /// `at_least` a version of that number or a higher one.
    pub async fn resolve_name(
        &self,
        name: &str,
        quorum: bool,
        at_least: Option<u64>,
    ) -> Result<Resolved, ClientError> {
        let query = [
            ("name", Some(name.to_owned())),
            ("consistency", quorum.then(|| "quorum".to_owned())),
            ("at_least", at_least.map(|seq| seq.to_string())),
        ];
        self.exchange.get_json(&with_query("/v1/names/resolve", &query)).await
    }

    /// What a name stands for, now and whenever it changes.
    pub async fn watch_name(&self, name: &str) -> Result<NameWatch, ClientError> {
        let uri = with_query("/v1/names/watch", &[("name", Some(name.to_owned()))]);
        let request = self.exchange.request(Method::GET, &uri).header(ACCEPT, "text/event-stream");
        Ok(NameWatch::new(self.download(request).await?))
    }

    /// The versions of a name that the daemon has published or seen, the newest first.
    pub async fn name_history(&self, name: &str) -> Result<Vec<NameVersion>, ClientError> {
        self.exchange.get_json(&with_query("/v1/names/history", &[("name", Some(name.to_owned()))])).await
    }
}

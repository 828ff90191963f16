//! Requests about names.

use bytes::Bytes;
use http_body_util::Full;
use hyper::Method;
use hyper::header::CONTENT_TYPE;

use super::{Client, ClientError, json};
use crate::types::{NameInfo, NameVersion, PublishReport, PublishRequest, Resolved};
use crate::uri::with_query;

impl Client {
    /// The names whose keys the daemon has.
    pub async fn names(&self) -> Result<Vec<NameInfo>, ClientError> {
        self.get_json("/v1/names").await
    }

    /// Has the daemon make a key and call it `petname`.
    pub async fn create_name(&self, petname: &str) -> Result<NameInfo, ClientError> {
        self.post_json(&with_query("/v1/names/create", &[("name", Some(petname.to_owned()))])).await
    }

    /// Has the daemon forget a key for good.
    pub async fn delete_name(&self, petname: &str) -> Result<(), ClientError> {
        let uri = with_query("/v1/names/delete", &[("name", Some(petname.to_owned()))]);
        let answer = self.send(self.request(Method::POST, &uri), Full::<Bytes>::default(), None).await?;
        self.checked(answer).await.map(drop)
    }

    /// Says what a name of the daemon's keyring is to stand for.
    pub async fn publish_name(&self, request: &PublishRequest) -> Result<PublishReport, ClientError> {
        // The type can always be encoded.
        let body = serde_json::to_vec(request).unwrap_or_default();
        let request =
            self.request(Method::POST, "/v1/names/publish").header(CONTENT_TYPE, "application/json");
        let answer = self.send(request, Full::new(Bytes::from(body)), None).await?;
        json(self.checked(answer).await?, self.timeouts.stall).await
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
        self.get_json(&with_query("/v1/names/resolve", &query)).await
    }

    /// The versions of a name that the daemon has published or seen, the newest first.
    pub async fn name_history(&self, name: &str) -> Result<Vec<NameVersion>, ClientError> {
        self.get_json(&with_query("/v1/names/history", &[("name", Some(name.to_owned()))])).await
    }
}

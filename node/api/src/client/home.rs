//! Requests about the home of a person.

use super::{Client, ClientError};
use crate::types::{HomeChecked, HomeCreated, HomePhrase, HomeRecovered, HomeStatus};

impl Client {
    /// The home of the daemon.
    pub async fn home(&self) -> Result<HomeStatus, ClientError> {
        self.exchange.get_json("/v1/home").await
    }

    /// Has the daemon make a home. Only this answer has the phrase that brings everything back.
    pub async fn create_home(&self) -> Result<HomeCreated, ClientError> {
        self.post_query("/v1/home/create", &[]).await
    }

    /// Has the daemon bring back what a phrase opens.
    pub async fn recover(&self, phrase: &str) -> Result<HomeRecovered, ClientError> {
        self.post_body("/v1/home/recover", &HomePhrase { phrase: phrase.to_owned() }).await
    }

    /// Whether a phrase is that of the daemon's home.
    pub async fn check_phrase(&self, phrase: &str) -> Result<HomeChecked, ClientError> {
        self.post_body("/v1/home/check", &HomePhrase { phrase: phrase.to_owned() }).await
    }
}

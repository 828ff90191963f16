//! Requests about topics.

use bytes::Bytes;
use http_body_util::Full;
use hyper::Method;
use hyper::header::{ACCEPT, CONTENT_TYPE};

use super::{Client, ClientError};
use crate::exchange::json;
use crate::subscription::Subscription;
use crate::types::TopicReport;
use crate::uri::with_query;

impl Client {
    /// Publishes a message of at most 4 KiB.
    pub async fn publish_message(&self, topic: &str, message: Vec<u8>) -> Result<TopicReport, ClientError> {
        let uri = with_query("/v1/topics/publish", &[("topic", Some(topic.to_owned()))]);
        let request =
            self.exchange.request(Method::POST, &uri).header(CONTENT_TYPE, "application/octet-stream");
        let answer = self.exchange.send(request, Full::new(Bytes::from(message)), None).await?;
        json(self.exchange.checked(answer).await?, self.exchange.timeouts.stall).await
    }

    /// Messages of a topic from now on, and before them at most the `last` ones.
    pub async fn subscribe_topic(&self, topic: &str, last: u16) -> Result<Subscription, ClientError> {
        let query = [("topic", Some(topic.to_owned())), ("last", Some(last.to_string()))];
        let uri = with_query("/v1/topics/subscribe", &query);
        let request = self.exchange.request(Method::GET, &uri).header(ACCEPT, "text/event-stream");
        Ok(Subscription::new(self.download(request).await?))
    }
}

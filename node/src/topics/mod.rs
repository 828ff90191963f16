//! Topics: small signed messages that the nodes nearest to the hash of a topic's name keep for a while, and pass on to
//! whoever has subscribed. Topics are open: anybody may publish and listen.

mod error;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chordage_api::OpenName;
use chordage_api::types::{TopicMessage, TopicReport};
use chordage_dht::{Key, NodeId, TopicStatement};
use tokio::sync::mpsc;

pub(crate) use self::error::TopicsError;
use crate::address::api_id;
use crate::clock::wall_clock;
use crate::driver::{DriverHandle, Membership, Signer};
use crate::network::NetworkFingerprint;
use crate::place::{PlaceError, PlaceKind, place_of};

/// How long publishing a message may take.
const PUBLISH_WITHIN: Duration = Duration::from_secs(10);

/// Publishes messages and listens to those of others. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Topics {
    driver: DriverHandle,
    signer: Signer,
    network: NetworkFingerprint,
    /// The number of the last message.
    last_seq: Arc<Mutex<u64>>,
}

/// A topic that is listened to. Dropping it ends the subscription.
pub(crate) struct TopicMessages {
    topic: OpenName,
    driver: DriverHandle,
    messages: mpsc::Receiver<Arc<chordage_dht::TopicMessage>>,
}

impl Topics {
    pub(crate) fn new(driver: DriverHandle, signer: Signer, network: NetworkFingerprint) -> Self {
        Topics { driver, signer, network, last_seq: Arc::default() }
    }

    /// Publishes a message, and returns when a majority of those who keep the topic have it.
    pub(crate) async fn publish(&self, topic: &str, body: Vec<u8>) -> Result<TopicReport, TopicsError> {
        let begun = Instant::now();
        let topic: OpenName = topic.parse()?;
        let seq = self.next_seq(wall_clock().0.saturating_mul(1000));
        let publisher = self.signer.public_key();
        let statement = TopicStatement { place: self.place(&topic), publisher, seq, body };
        let signature = self.signer.sign_bytes(&statement.signed_bytes(&self.network.0));
        let message = statement.signed(signature).map_err(|_| TopicsError::TooLarge)?;
        let published = self.driver.publish(Arc::new(message), PUBLISH_WITHIN).await;
        let kept = published.ok_or(PlaceError::Stopped)??;
        Ok(TopicReport {
            topic: topic.to_string(),
            publisher: api_id(NodeId::from_public_key(&publisher)),
            seq,
            stored: kept.stored as u64,
            of: kept.of as u64,
            seconds: begun.elapsed().as_secs_f64(),
        })
    }

    /// Messages of a topic from now on, and before them at most the `last` of those that are kept.
    pub(crate) async fn subscribe(&self, topic: &str, last: u16) -> Result<TopicMessages, TopicsError> {
        let topic: OpenName = topic.parse()?;
        let subscribed = self.driver.subscribe(self.place(&topic), last).await;
        let messages = subscribed.ok_or(PlaceError::Stopped)??;
        Ok(TopicMessages { topic, driver: self.driver.clone(), messages })
    }

    /// The time, or the number after the last one.
    fn next_seq(&self, now_micros: u64) -> u64 {
        let mut last = self.last_seq.lock().unwrap_or_else(PoisonError::into_inner);
        *last = now_micros.max(last.saturating_add(1));
        *last
    }

    fn place(&self, topic: &OpenName) -> Key {
        place_of(PlaceKind::Topic, self.network, topic)
    }
}

impl TopicMessages {
    /// The next message; `None` when the daemon stops. After an error nothing more comes.
    pub(crate) async fn next(&mut self) -> Option<Result<TopicMessage, TopicsError>> {
        match self.messages.recv().await {
            Some(message) => {
                let said = message.statement();
                let publisher = api_id(NodeId::from_public_key(&said.publisher));
                Some(Ok(TopicMessage::new(self.topic.as_str(), publisher, said.seq, said.body.clone())))
            }
            // The driver ends subscriptions that are not listened to, and all others when it stops.
            None if self.driver.membership() == Membership::Leaving => None,
            None => Some(Err(TopicsError::TooSlow)),
        }
    }
}

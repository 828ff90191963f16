//! Multicast DNS itself, which the crate `mdns-sd` speaks on a thread of its own.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mdns_sd::{
    DaemonEvent, DaemonStatus, Error, IfKind, Receiver, ResolvedService, ServiceDaemon, ServiceEvent,
    ServiceInfo,
};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::Seen;
use super::card::{Card, Read, Reader};
use super::links::Links;
use super::sightings::Sightings;

/// Our own type of service. libp2p's says nothing of the network.
const SERVICE: &str = "_chordage._udp.local.";
/// How long nothing is done after a failure, or a flood.
pub(super) const PAUSE: Duration = Duration::from_secs(30);
/// How often it is looked how much has been heard, and which links there are.
const CHECK_EVERY: Duration = Duration::from_secs(2);
/// Records that are remembered of the LAN; the crate itself knows no limit. Design: far more than a hall full of
/// machines has.
const RECORDS_MAX: i64 = 8192;
/// How often everybody is asked to show themselves while nobody is seen, and otherwise: the crate asks ever more
/// seldom, and nobody tells that a cable was plugged in somewhere.
const ASK_ALONE: Duration = Duration::from_secs(30);
const ASK: Duration = Duration::from_secs(5 * 60);
/// Events that are taken in at a time.
const EVENTS_MAX: usize = 1000;
/// By then it should have been possible to show this daemon.
const SHOWN_WITHIN: Duration = Duration::from_secs(15);
/// How long a goodbye may take to leave the machine, and the thread to say how it is.
const ANSWER_WITHIN: Duration = Duration::from_millis(500);

/// The end of the last thread, to be waited for.
#[derive(Clone, Default)]
pub(super) struct Farewell(Arc<Mutex<Option<Receiver<DaemonStatus>>>>);

impl Farewell {
    fn begins(&self, ending: Option<Receiver<DaemonStatus>>) -> Option<Receiver<DaemonStatus>> {
        std::mem::replace(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), ending)
    }

    /// Waits for it, but not for long: whoever is not told notices by itself.
    pub(super) async fn said(&self) {
        if let Some(ending) = self.begins(None) {
            let _ = timeout(ANSWER_WITHIN, ending.recv_async()).await;
        }
    }
}

/// The thread. Ends when this is dropped, and says goodbye for what was shown.
struct Speaker {
    daemon: ServiceDaemon,
    farewell: Farewell,
}

impl Drop for Speaker {
    fn drop(&mut self) {
        match self.daemon.shutdown() {
            Ok(ending) => drop(self.farewell.begins(Some(ending))),
            Err(error) => tracing::debug!(%error, "multicast DNS does not end"),
        }
    }
}

/// Looks and shows until it is dropped.
pub(super) struct Air {
    speaker: Speaker,
    found: Receiver<ServiceEvent>,
    news: Receiver<DaemonEvent>,
    /// Whether this daemon is to be seen, and is.
    to_show: bool,
    shown: bool,
}

impl Air {
    /// Begins to look, and shows `card`.
    pub(super) fn open(card: Option<&Card>, farewell: &Farewell) -> Result<Self, Error> {
        let speaker = Speaker { daemon: ServiceDaemon::new()?, farewell: farewell.clone() };
        let daemon = &speaker.daemon;
        daemon.disable_interface(vec![IfKind::LoopbackV4, IfKind::LoopbackV6])?;
        let (news, found) = (daemon.monitor()?, daemon.browse(SERVICE)?);
        if let Some(card) = card {
            daemon.register(service(card)?)?;
        }
        Ok(Air { speaker, found, news, to_show: card.is_some(), shown: false })
    }

    /// Tells what is seen, until something is wrong, which it returns.
    pub(super) async fn listen(mut self, reader: &Reader, seen: &watch::Sender<Seen>) -> String {
        let (began, mut asked, mut sightings) = (Instant::now(), Instant::now(), Sightings::default());
        let mut check = interval(CHECK_EVERY);
        check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                event = self.found.recv_async() => match event {
                    Ok(event) => {
                        let more = self.found.try_iter().take(EVENTS_MAX);
                        std::iter::once(event).chain(more).for_each(|event| note(&mut sightings, reader, event));
                    }
                    Err(_) => return "it ended by itself, or the LAN has more services than can be read".to_owned(),
                },
                news = self.news.recv_async() => match news {
                    Ok(DaemonEvent::Announce(..)) => self.shown = true,
                    Ok(DaemonEvent::Error(error)) => tracing::debug!(%error, "multicast DNS"),
                    Ok(_) => {}
                    Err(_) => return "it ended by itself".to_owned(),
                },
                _ = check.tick() => {
                    if let Err(problem) = self.bounded().await {
                        return problem;
                    }
                    let pause = if seen.borrow().hints.is_empty() { ASK_ALONE } else { ASK };
                    if asked.elapsed() >= pause {
                        asked = Instant::now();
                        self.ask_again(&mut sightings, reader);
                    }
                }
            }
            let unseen = self.to_show && !self.shown && began.elapsed() > SHOWN_WITHIN;
            let problem = unseen.then(|| {
                "this daemon cannot be shown on any interface: is there a network that takes multicast, and does no \
                 other program keep UDP port 5353 to itself?"
                    .to_owned()
            });
            let now = Seen { hints: sightings.hints(&Links::now()), others: sightings.others(), problem };
            seen.send_if_modified(|before| {
                let is_new = *before != now;
                *before = now;
                is_new
            });
        }
    }

    /// Has everybody show themselves again.
    fn ask_again(&mut self, sightings: &mut Sightings, reader: &Reader) {
        // A full queue says that the thread is behind; the next time will do.
        if let Ok(found) = self.speaker.daemon.browse(SERVICE) {
            let before = std::mem::replace(&mut self.found, found);
            before.try_iter().take(EVENTS_MAX).for_each(|event| note(sightings, reader, event));
            sightings.new_round();
        }
    }

    /// Whether no more is remembered of the LAN than there is room for.
    async fn bounded(&self) -> Result<(), String> {
        let silent = |_| "its thread does not answer".to_owned();
        // A full queue says that it is behind, and is looked at again.
        let Ok(asked) = self.speaker.daemon.get_metrics() else { return Ok(()) };
        let counts = timeout(ANSWER_WITHIN * 4, asked.recv_async()).await.map_err(silent)?;
        let counts = counts.map_err(|_| "it ended by itself".to_owned())?;
        let cached = counts.iter().filter(|(name, _)| name.starts_with("cached-"));
        let records: i64 = cached.map(|(_, count)| *count).sum();
        if records > RECORDS_MAX {
            return Err(format!("it names {records} records, and there is room for {RECORDS_MAX}"));
        }
        Ok(())
    }
}

/// Takes in what was found or lost.
fn note(sightings: &mut Sightings, reader: &Reader, event: ServiceEvent) {
    match event {
        ServiceEvent::ServiceResolved(service) => {
            let read = read(reader, &service);
            tracing::debug!(service = %service.fullname, ?read, "on the LAN");
            sightings.came(&service.fullname, read);
        }
        ServiceEvent::ServiceRemoved(_, service) => sightings.went(&service),
        _ => {}
    }
}

fn read(reader: &Reader, service: &ResolvedService) -> Read {
    // In an order of their own, because the crate has none.
    let ips: BTreeSet<_> = service.addresses.iter().map(|address| address.to_ip_addr()).collect();
    reader.read(|name| service.get_property_val_str(name), &ips)
}

/// A card as a service.
fn service(card: &Card) -> Result<ServiceInfo, Error> {
    let (name, host, properties) = (card.name(), card.host(), card.properties());
    let mut service =
        ServiceInfo::new(SERVICE, &name, &host, card.only.as_slice(), card.port(), properties.as_slice())?;
    service.set_interfaces(match (card.has_family(true), card.has_family(false)) {
        (true, false) => vec![IfKind::IPv4],
        (false, true) => vec![IfKind::IPv6],
        _ => vec![IfKind::All],
    });
    // Those of each interface, as they come and go.
    Ok(if card.only.is_empty() { service.enable_addr_auto() } else { service })
}

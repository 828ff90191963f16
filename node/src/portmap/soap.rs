//! What a router is asked, and what it answers (UPnP WANIPConnection, SOAP 1.1). Pure.

use std::fmt::Write;
use std::net::Ipv4Addr;

use super::description::ServiceType;
use super::document::elements;

/// By what is forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Transport {
    Tcp,
    Udp,
}

/// A port of the router that it passes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mapping {
    pub(crate) transport: Transport,
    /// The router's port.
    pub(crate) external: u16,
    /// This machine's.
    pub(crate) internal: u16,
}

/// A request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Which address others see.
    ExternalAddress,
    /// Pass on what comes, to `client`, for so many seconds; 0: for ever.
    Add { mapping: Mapping, client: Ipv4Addr, lease: u32 },
    /// Pass it on no longer.
    Delete(Mapping),
}

/// What the router answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Address(Ipv4Addr),
    Done,
}

/// Why there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AnswerError {
    #[error("the router refuses it: {0}")]
    Fault(#[from] Fault),
    #[error("the answer of the router cannot be read")]
    Unreadable,
}

/// Why a router refuses, with UPnP's error code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("it allows this to nobody, or not to this machine (606)")]
    NotAuthorized,
    #[error("there is no such mapping (714)")]
    NoSuchEntry,
    #[error("the port is forwarded to another machine (718)")]
    Conflict,
    #[error("it forwards to the same port only (724)")]
    SamePortsOnly,
    #[error("it forwards for ever only (725)")]
    PermanentOnly,
    #[error("error {0}")]
    Other(u16),
}

impl Transport {
    fn name(self) -> &'static str {
        match self {
            Transport::Tcp => "TCP",
            Transport::Udp => "UDP",
        }
    }
}

impl Fault {
    pub(crate) fn of(code: u16) -> Self {
        match code {
            606 => Fault::NotAuthorized,
            714 => Fault::NoSuchEntry,
            718 => Fault::Conflict,
            724 => Fault::SamePortsOnly,
            725 => Fault::PermanentOnly,
            code => Fault::Other(code),
        }
    }
}

impl Action {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Action::ExternalAddress => "GetExternalIPAddress",
            Action::Add { .. } => "AddPortMapping",
            Action::Delete(_) => "DeletePortMapping",
        }
    }

    /// As the header `SOAPAction` has it.
    pub(super) fn header(&self, service: ServiceType) -> String {
        format!("\"{}#{}\"", service.name(), self.name())
    }

    /// The document that is sent. All that stands in it is ours: numbers, addresses, fixed words.
    pub(super) fn document(&self, service: ServiceType) -> String {
        let mut arguments = String::new();
        // Routers of old want them in the order in which the standard has them.
        let mut argument = |name: &str, value: &dyn std::fmt::Display| {
            let _ = write!(arguments, "<{name}>{value}</{name}>");
        };
        match self {
            Action::ExternalAddress => {}
            Action::Add { mapping, client, lease } => {
                argument("NewRemoteHost", &"");
                argument("NewExternalPort", &mapping.external);
                argument("NewProtocol", &mapping.transport.name());
                argument("NewInternalPort", &mapping.internal);
                argument("NewInternalClient", client);
                argument("NewEnabled", &1);
                argument("NewPortMappingDescription", &"Chordage");
                argument("NewLeaseDuration", lease);
            }
            Action::Delete(mapping) => {
                argument("NewRemoteHost", &"");
                argument("NewExternalPort", &mapping.external);
                argument("NewProtocol", &mapping.transport.name());
            }
        }
        format!(
            "<?xml version=\"1.0\"?>\r\n<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\" \
             s:encodingStyle=\"http://schemas.xmlsoap.org/soap/encoding/\"><s:Body><u:{action} xmlns:u=\"{service}\">\
             {arguments}</u:{action}></s:Body></s:Envelope>\r\n",
            action = self.name(),
            service = service.name(),
        )
    }

    /// What a document that came back says.
    pub(crate) fn answer(&self, document: &[u8]) -> Result<Answer, AnswerError> {
        let elements = elements(document);
        let text = |name: &str| {
            elements.iter().find(|element| element.name == name).map(|element| element.text.as_str())
        };
        if let Some(code) = text("errorCode") {
            return Err(code.parse().map_or(AnswerError::Unreadable, |code| Fault::of(code).into()));
        }
        match self {
            Action::ExternalAddress => {
                let address = text("NewExternalIPAddress").and_then(|address| address.parse().ok());
                address.map(Answer::Address).ok_or(AnswerError::Unreadable)
            }
            Action::Add { .. } | Action::Delete(_) => {
                let done = text(&format!("{}Response", self.name()));
                done.map(|_| Answer::Done).ok_or(AnswerError::Unreadable)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAPPING: Mapping = Mapping { transport: Transport::Udp, external: 4701, internal: 4700 };
    const ADD: Action = Action::Add { mapping: MAPPING, client: Ipv4Addr::new(192, 168, 7, 2), lease: 3600 };

    fn envelope(body: &str) -> String {
        format!(
            "<?xml version=\"1.0\"?>\n<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"><s:Body>{body}\
             </s:Body></s:Envelope>"
        )
    }

    fn fault(code: &str) -> String {
        envelope(&format!(
            "<s:Fault><faultcode>s:Client</faultcode><faultstring>UPnPError</faultstring><detail><UPnPError \
             xmlns=\"urn:schemas-upnp-org:control-1-0\"><errorCode>{code}</errorCode><errorDescription>x\
             </errorDescription></UPnPError></detail></s:Fault>"
        ))
    }

    #[test]
    fn requests_have_what_the_standard_wants_in_its_order() {
        let document = ADD.document(ServiceType::Ip1);
        let arguments: Vec<String> = elements(document.as_bytes())
            .into_iter()
            .map(|element| format!("{}={}", element.name, element.text))
            .collect();
        let expected = [
            "NewRemoteHost=",
            "NewExternalPort=4701",
            "NewProtocol=UDP",
            "NewInternalPort=4700",
            "NewInternalClient=192.168.7.2",
            "NewEnabled=1",
            "NewPortMappingDescription=Chordage",
            "NewLeaseDuration=3600",
            "AddPortMapping=",
            "Body=",
            "Envelope=",
        ];
        assert_eq!(arguments, expected);
        let header = "\"urn:schemas-upnp-org:service:WANIPConnection:1#AddPortMapping\"";
        assert_eq!(ADD.header(ServiceType::Ip1), header);
        let document = Action::Delete(MAPPING).document(ServiceType::Ppp1);
        assert!(
            document
                .contains("<NewExternalPort>4701</NewExternalPort><NewProtocol>UDP</NewProtocol></u:Delete")
        );
        assert!(document.contains("xmlns:u=\"urn:schemas-upnp-org:service:WANPPPConnection:1\""));
    }

    #[test]
    fn answers_say_whether_it_was_done() {
        let done = envelope("<u:AddPortMappingResponse xmlns:u=\"urn:x\"></u:AddPortMappingResponse>");
        assert_eq!(ADD.answer(done.as_bytes()), Ok(Answer::Done));
        assert_eq!(Action::Delete(MAPPING).answer(done.as_bytes()), Err(AnswerError::Unreadable));
        let address = |text: &str| {
            let response = format!(
                "<u:GetExternalIPAddressResponse xmlns:u=\"urn:x\"><NewExternalIPAddress>{text}</NewExternalIPAddress>\
                 </u:GetExternalIPAddressResponse>"
            );
            Action::ExternalAddress.answer(envelope(&response).as_bytes())
        };
        assert_eq!(address(" 203.0.113.5\n"), Ok(Answer::Address(Ipv4Addr::new(203, 0, 113, 5))));
        for bad in ["", "router", "203.0.113", "203.0.113.5/24", "2001:db8::1"] {
            assert_eq!(address(bad), Err(AnswerError::Unreadable), "{bad}");
        }
        for nothing in ["", "<html></html>", "no"] {
            assert_eq!(ADD.answer(nothing.as_bytes()), Err(AnswerError::Unreadable));
        }
    }

    #[test]
    fn faults_are_known_by_their_code() {
        for (code, expected) in [
            ("606", Fault::NotAuthorized),
            ("714", Fault::NoSuchEntry),
            (" 718 ", Fault::Conflict),
            ("724", Fault::SamePortsOnly),
            ("725", Fault::PermanentOnly),
            ("501", Fault::Other(501)),
        ] {
            assert_eq!(ADD.answer(fault(code).as_bytes()), Err(AnswerError::Fault(expected)));
        }
        for bad in ["", "x", "-1", "65536"] {
            assert_eq!(ADD.answer(fault(bad).as_bytes()), Err(AnswerError::Unreadable));
        }
        // A fault wins, whatever stands beside it.
        let both = fault("718").replace("<s:Fault>", "<AddPortMappingResponse/><s:Fault>");
        assert_eq!(ADD.answer(both.as_bytes()), Err(AnswerError::Fault(Fault::Conflict)));
    }
}

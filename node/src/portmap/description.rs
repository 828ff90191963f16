//! What a router says of itself: which of its services forwards ports, and where that is asked. Pure.

use super::document::{Element, elements};
use super::location::Location;

/// Services that are tried of one router.
const SERVICES_MAX: usize = 4;

/// Services that forward ports, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ServiceType {
    Ip2,
    Ip1,
    Ppp1,
}

/// A service and where it is asked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Service {
    pub(crate) kind: ServiceType,
    pub(crate) control: Location,
}

impl ServiceType {
    const ALL: [ServiceType; 3] = [ServiceType::Ip2, ServiceType::Ip1, ServiceType::Ppp1];

    pub(crate) fn name(self) -> &'static str {
        match self {
            ServiceType::Ip2 => "urn:schemas-upnp-org:service:WANIPConnection:2",
            ServiceType::Ip1 => "urn:schemas-upnp-org:service:WANIPConnection:1",
            ServiceType::Ppp1 => "urn:schemas-upnp-org:service:WANPPPConnection:1",
        }
    }
}

/// The services that forward ports in the description that was fetched from `location`, the best first.
pub(crate) fn services(description: &[u8], location: &Location) -> Vec<Service> {
    let elements = elements(description);
    // Routers of old say so where their description is not at the port of the rest.
    let base = elements.iter().find(|element| element.name == "URLBase");
    let base = base.and_then(|base| location.join(&base.text)).unwrap_or_else(|| location.clone());
    let is_kind = |element: &Element| {
        let kind = ServiceType::ALL.into_iter().find(|kind| kind.name() == element.text);
        kind.filter(|_| element.name == "serviceType")
    };
    let mut services: Vec<Service> = Vec::new();
    for (kind, parent) in elements.iter().filter_map(|element| Some((is_kind(element)?, element.parent))) {
        let control = elements.iter().find(|beside| beside.parent == parent && beside.name == "controlURL");
        if let Some(control) = control.and_then(|control| base.join(&control.text)) {
            services.push(Service { kind, control });
        }
        if services.len() == SERVICES_MAX {
            break;
        }
    }
    services.sort();
    services.dedup();
    services
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const ROUTER: Ipv4Addr = Ipv4Addr::new(192, 168, 7, 1);

    fn service(kind: &str, control: &str) -> String {
        format!(
            "<service><serviceType>urn:schemas-upnp-org:service:{kind}</serviceType><serviceId>urn:x</serviceId>\
             <controlURL>{control}</controlURL><SCPDURL>/scpd.xml</SCPDURL></service>"
        )
    }

    /// As a router nests them.
    fn description(services: &[String]) -> String {
        format!(
            "<?xml version=\"1.0\"?>\n<root xmlns=\"urn:schemas-upnp-org:device-1-0\"><device><serviceList>{}</serviceList>\
             <deviceList><device><deviceList><device><serviceList>{}</serviceList></device></deviceList></device>\
             </deviceList></device></root>",
            service("Layer3Forwarding:1", "/ctl/L3F"),
            services.concat()
        )
    }

    fn found(description: &str) -> Vec<(ServiceType, String)> {
        let location = Location::parse("http://192.168.7.1:5000/igd/rootDesc.xml", ROUTER).expect("valid");
        let services = services(description.as_bytes(), &location);
        services
            .into_iter()
            .map(|Service { kind, control }| (kind, format!("{}{}", control.host, control.path)))
            .collect()
    }

    #[test]
    fn the_best_service_comes_first_with_its_own_address() {
        let all = [
            service("WANCommonInterfaceConfig:1", "/ctl/common"),
            service("WANPPPConnection:1", "ppp"),
            service("WANIPConnection:1", "http://192.168.7.1:81/ip1"),
            service("WANIPConnection:2", "/ip2"),
        ];
        let expected = [
            (ServiceType::Ip2, "192.168.7.1:5000/ip2".to_owned()),
            (ServiceType::Ip1, "192.168.7.1:81/ip1".to_owned()),
            (ServiceType::Ppp1, "192.168.7.1:5000/igd/ppp".to_owned()),
        ];
        assert_eq!(found(&description(&all)), expected);
        assert_eq!(found(&description(&all[..1])), []);
    }

    #[test]
    fn no_other_host_is_asked_whatever_the_description_says() {
        let service = |control: &str| description(&[service("WANIPConnection:1", control)]);
        for bad in ["http://192.168.7.2/ctl", "//192.168.7.2/ctl", "http://router/ctl", "", "a b", "<b/>"] {
            assert_eq!(found(&service(bad)), [], "{bad}");
        }
        let with_base = |base: &str| {
            service("/ctl").replacen("<device>", &format!("<URLBase>{base}</URLBase><device>"), 1)
        };
        assert_eq!(found(&with_base("http://192.168.7.1:8080/"))[0].1, "192.168.7.1:8080/ctl");
        assert_eq!(found(&with_base("http://192.168.7.2:8080/"))[0].1, "192.168.7.1:5000/ctl");
    }

    #[test]
    fn a_description_that_is_not_quite_right_is_read_as_far_as_it_goes() {
        let whole = description(&[service("WANIPConnection:1", "<![CDATA[/c&l]]>")]);
        let expected = [(ServiceType::Ip1, "192.168.7.1:5000/c&l".to_owned())];
        assert_eq!(found(&whole), expected);
        assert_eq!(found(&whole.replace("<![CDATA[/c&l]]>", "<!-- here: --> /c&amp;l\r\n")), expected);
        assert_eq!(
            found(
                &whole
                    [..whole.find("<SCPDURL>/scpd.xml</SCPDURL></service></serviceList></device>").unwrap()]
            ),
            expected
        );
        let prefixed =
            whole.replace("controlURL>", "u:controlURL>").replace("xmlns=", "xmlns:u=\"u\" xmlns=");
        assert_eq!(found(&prefixed), expected);
        // The address of another service is none of this one.
        let without = whole.replace("<controlURL><![CDATA[/c&l]]></controlURL>", "");
        assert_eq!(found(&without), []);
        assert_eq!(found(&whole.replace("</serviceType>", "")), []);
        let many: Vec<String> =
            (0..100).map(|number| service("WANIPConnection:1", &format!("/{number}"))).collect();
        assert_eq!(found(&description(&many)).len(), SERVICES_MAX);
    }
}

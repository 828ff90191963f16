//! An internet of network namespaces: members that everybody reaches, and homes behind routers of every kind, with the
//! kernel's own NAT.
//!
//! ```text
//!   192.168.77.2 ── router ── 33.0.0.101 ─┐
//!                                         ├─ bridge: members at 33.0.0.10, .11, .12, …
//!   192.168.77.2 ── router ── 33.0.0.102 ─┘
//! ```

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use std::{fs, thread};

use serde_json::Value;
use tempfile::TempDir;

use crate::namespaces::{Namespace, Owned, Running};

/// The network of members and routers. No router forwards ports of an address that is kept for documents or private
/// use.
const WORLD: &str = "33.0.0";
/// The port on which daemons at home listen.
pub(crate) const PORT: u16 = 4700;
/// The port of the router from which others see what daemons send from that one by UDP, where the router keeps to one.
pub(crate) const MAPPED: u16 = 61_000;
/// Where daemons at home are, behind their routers.
const INSIDE: &str = "192.168.77.2";

/// What a router lets in (RFC 4787, section 5; the names are those of RFC 3489).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nat {
    /// Whatever comes to the port, by UDP.
    FullCone,
    /// What comes by UDP from addresses to which something was sent.
    AddressRestricted,
    /// Answers.
    PortRestricted,
    /// Answers; and everybody sees another port.
    Symmetric,
    /// Answers; and no UDP goes out.
    UdpBlocked,
    /// The port that was forwarded by hand, TCP and UDP.
    Forwarded,
    /// Answers, and what the daemon has asked it to forward by UPnP.
    Upnp,
    /// Answers, through a second router behind which the first one is.
    Double,
    /// No NAT at all, but a firewall that lets in answers only.
    Firewall,
}

/// See the module's description.
pub(crate) struct Internet {
    pub(crate) public: Namespace,
    pub(crate) homes: Vec<Namespace>,
    /// That of each home.
    routers: Vec<Namespace>,
    /// Those in front of some of these.
    outer: Vec<Namespace>,
    forwarders: Vec<Forwarder>,
}

/// What forwards ports where it is asked to, with its files.
struct Forwarder {
    _process: Owned,
    _dir: TempDir,
}

impl Internet {
    /// With so many addresses for members, and a home behind each of these.
    pub(crate) fn build(members: usize, kinds: &[Nat]) -> Result<Self, String> {
        let public = Namespace::new()?;
        public.run("ip link add bridge type bridge")?;
        public.run("ip link set bridge up")?;
        for member in 0..members {
            public.run(&format!("ip address add {}/24 dev bridge", member_ip(member)))?;
        }
        let mut internet = Internet {
            public,
            homes: Vec::new(),
            routers: Vec::new(),
            outer: Vec::new(),
            forwarders: Vec::new(),
        };
        for kind in kinds {
            internet.add_home(*kind)?;
        }
        Ok(internet)
    }

    fn add_home(&mut self, kind: Nat) -> Result<(), String> {
        let number = self.homes.len() + 1;
        let outer = Namespace::new()?;
        let outer_is = outer.process();
        self.public.run(&format!("ip link add port{number} type veth peer name wan netns {outer_is}"))?;
        self.public.run(&format!("ip link set port{number} master bridge up"))?;
        outer.run(&format!("ip address add {}/24 dev wan", router_ip(number - 1)))?;
        outer.run("ip link set wan up")?;
        let mut router = outer;
        if kind == Nat::Double {
            let inner = Namespace::new()?;
            connect(&router, &inner, "10.77.0", "wan")?;
            translate(&router, Nat::PortRestricted)?;
            self.outer.push(router);
            router = inner;
        }
        let home = Namespace::new()?;
        if kind == Nat::Firewall {
            // One of the public addresses behind a router that changes none.
            connect(&router, &home, "203.0.113", "eth")?;
            self.public.run(&format!("ip route add 203.0.113.0/24 via {}", router_ip(number - 1)))?;
        } else {
            connect(&router, &home, "192.168.77", "eth")?;
        }
        translate(&router, kind)?;
        if kind == Nat::Upnp {
            self.forwarders.push(Forwarder::start(&router)?);
        }
        self.homes.push(home);
        self.routers.push(router);
        Ok(())
    }

    /// The rules by which the router of a home forwards what it was asked to.
    pub(crate) fn forwarded(&self, home: usize) -> String {
        self.routers[home].said_by("nft list chain inet filter prerouting_miniupnpd").unwrap()
    }

    /// Has the router of the last home forward nothing any more, or whatever its kind forwards.
    pub(crate) fn change_last(&self, kind: Nat) -> Result<(), String> {
        let router = self.routers.last().ok_or("there is no home")?;
        router.run("nft delete table ip home")?;
        translate(router, kind)
    }

    /// Gives the router of a home another address, as providers do at night. What went through it is cut off.
    pub(crate) fn move_home(&self, home: usize) -> Result<(), String> {
        let router = &self.routers[home];
        router.run(&format!("ip address del {}/24 dev wan", router_ip(home)))?;
        router.run(&format!("ip address add {}/24 dev wan", router_ip(home + 100)))
    }

    /// Starts so many members, and returns them with the addresses of one to join through: by TCP and by QUIC.
    pub(crate) async fn start_members(
        &self,
        count: usize,
        network: &str,
        dir: &Path,
    ) -> (Vec<Running>, Vec<String>) {
        let (mut members, mut bootstrap) = (Vec::<Running>::new(), Vec::<String>::new());
        for number in 0..count {
            let ip = member_ip(number);
            let (tcp, quic) = (format!("/ip4/{ip}/tcp/0"), format!("/ip4/{ip}/udp/0/quic-v1"));
            let mut args = vec!["--network", network, "--listen", &tcp, "--listen", &quic];
            args.extend(bootstrap.iter().flat_map(|addr| ["--bootstrap", addr]));
            let member = Running::start(&self.public, dir.join(format!("member-{number}")), &args);
            let status = member.joined(number + 1).await;
            bootstrap = status["listen"].as_array().unwrap().iter().map(text).collect();
            members.push(member);
        }
        (members, bootstrap)
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

pub(crate) fn member_ip(number: usize) -> String {
    format!("{WORLD}.{}", 10 + number)
}

/// The outer address of a home's router.
pub(crate) fn router_ip(home: usize) -> String {
    format!("{WORLD}.{}", 101 + home)
}

/// A cable between a router and what is behind it, which has `.2` of the network and `link` for the cable.
fn connect(router: &Namespace, inside: &Namespace, network: &str, link: &str) -> Result<(), String> {
    router.run(&format!("ip link add lan type veth peer name {link} netns {}", inside.process()))?;
    router.run(&format!("ip address add {network}.1/24 dev lan"))?;
    router.run("ip link set lan up")?;
    router.run("sysctl -q -w net.ipv4.ip_forward=1")?;
    inside.run(&format!("ip address add {network}.2/24 dev {link}"))?;
    inside.run(&format!("ip link set {link} up"))?;
    inside.run(&format!("ip route add default via {network}.1"))
}

/// Whether there is a program that forwards ports where it is asked to.
pub(crate) fn has_upnp() -> bool {
    Command::new("miniupnpd").arg("--version").output().is_ok_and(|output| output.status.success())
}

/// The chains that it fills.
const CHAINS: [&str; 6] = [
    "miniupnpd",
    "prerouting_miniupnpd",
    "postrouting_miniupnpd",
    "forward { type filter hook forward priority 0 ; }",
    "prerouting { type nat hook prerouting priority -100 ; }",
    "postrouting { type nat hook postrouting priority 100 ; }",
];

impl Forwarder {
    fn start(router: &Namespace) -> Result<Self, String> {
        router.run("nft add table inet filter")?;
        for chain in CHAINS {
            router.run(&format!("nft add chain inet filter {chain}"))?;
        }
        for (hook, chain) in [("forward", 0), ("prerouting", 1), ("postrouting", 2)] {
            router.run(&format!("nft add rule inet filter {hook} jump {}", CHAINS[chain]))?;
        }
        let dir = tempfile::tempdir().map_err(|error| error.to_string())?;
        let (settings, process) = (dir.path().join("settings"), dir.path().join("process"));
        let text = "ext_ifname=wan\nlistening_ip=lan\nhttp_port=0\nenable_upnp=yes\nenable_natpmp=no\nsecure_mode=yes\n\
                    upnp_table_name=filter\nupnp_nat_table_name=filter\nupnp_forward_chain=miniupnpd\n\
                    upnp_nat_chain=prerouting_miniupnpd\nupnp_nat_postrouting_chain=postrouting_miniupnpd\n\
                    uuid=11111111-2222-3333-4444-555555555555\nallow 1024-65535 192.168.77.0/24 1024-65535\n\
                    deny 0-65535 0.0.0.0/0 0-65535\n";
        fs::write(&settings, text).map_err(|error| error.to_string())?;
        let [settings, process] = [&settings, &process].map(|path| path.to_str().unwrap_or_default());
        let running = router.keep("miniupnpd", &["-d", "-f", settings, "-P", process])?;
        let begun = Instant::now();
        // Port 1900 is where it hears who looks for a router.
        let sockets = format!("/proc/{}/net/udp", router.process());
        while !fs::read_to_string(&sockets).is_ok_and(|sockets| sockets.contains(":076C ")) {
            if begun.elapsed() > Duration::from_secs(20) {
                return Err("miniupnpd does not start".to_owned());
            }
            thread::yield_now();
        }
        Ok(Forwarder { _process: running, _dir: dir })
    }
}

/// Makes a router one of this kind.
fn translate(router: &Namespace, kind: Nat) -> Result<(), String> {
    let rule = |chain: &str, rule: &str| router.run(&format!("nft add rule ip home {chain} {rule}"));
    router.run("nft add table ip home")?;
    router.run("nft add chain ip home pre { type nat hook prerouting priority -100 ; }")?;
    router.run("nft add chain ip home post { type nat hook postrouting priority 100 ; }")?;
    router.run("nft add chain ip home forward { type filter hook forward priority 0 ; }")?;
    // As routers at home do. Otherwise the kernel would take what comes too early for a connection with the router
    // itself, and give another port to what is sent there later.
    router.run("nft add chain ip home input { type filter hook input priority 0 ; }")?;
    rule("input", "iifname wan ct state new drop")?;
    let one_port = || rule("post", &format!("oifname wan udp sport {PORT} masquerade to :{MAPPED}"));
    match kind {
        Nat::FullCone => {
            rule("pre", &format!("iifname wan udp dport {MAPPED} dnat to {INSIDE}:{PORT}"))?;
            one_port()?;
        }
        Nat::AddressRestricted => {
            router.run("nft add set ip home known { type ipv4_addr ; flags dynamic,timeout ; }")?;
            rule("forward", "oifname wan meta l4proto udp update @known { ip daddr timeout 120s }")?;
            rule("pre", &format!("iifname wan ip saddr @known udp dport {MAPPED} dnat to {INSIDE}:{PORT}"))?;
            one_port()?;
        }
        Nat::PortRestricted | Nat::Upnp | Nat::Double => one_port()?,
        Nat::Symmetric => return rule("post", "oifname wan masquerade fully-random"),
        Nat::UdpBlocked => rule("forward", "oifname wan meta l4proto udp drop")?,
        Nat::Forwarded => {
            rule("pre", &format!("iifname wan tcp dport {PORT} dnat to {INSIDE}"))?;
            rule("pre", &format!("iifname wan udp dport {PORT} dnat to {INSIDE}"))?;
        }
        Nat::Firewall => {
            rule("forward", "ct state established,related accept")?;
            return rule("forward", "iifname wan drop");
        }
    }
    rule("post", "oifname wan masquerade")
}

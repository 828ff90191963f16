//! A network and a view of the file systems of one's own, so that packets can be lost and disks be small without being
//! root and without harm to anybody: Linux gives them to any user who asks for a user namespace (user_namespaces(7)).

use std::process::{Command, Output, Stdio};

/// Makes the loopback device as a real one is: no packet is larger than 1,500 bytes, also not on the way between sender
/// and receiver. Then prepares for rules about which packets are lost.
const PREPARE: &str = "ip link set dev lo up mtu 1500 gso_max_segs 1 && \
    nft add table inet chaos && \
    nft add chain inet chaos input '{ type filter hook input priority 0; }'";

/// What runs a program in a seclusion of its own.
const UNSHARE: [&str; 4] = ["--user", "--map-root-user", "--mount", "--net"];

/// Why this system gives no seclusion, in words; nothing was changed.
pub fn available() -> Result<(), String> {
    said(unshare().args(["sh", "-c", PREPARE])).map(|_| ())
}

/// A command that runs a program in a seclusion of its own; it has to call [`prepare`] there.
pub fn unshare() -> Command {
    let mut command = Command::new("unshare");
    command.args(UNSHARE);
    command
}

/// Makes the seclusion that this process runs in ready for faults.
pub fn prepare() -> Result<(), String> {
    said(Command::new("sh").args(["-c", PREPARE])).map(|_| ())
}

/// Adds rules about packets that come in.
pub(super) fn add_rules(rules: &[String]) -> Result<(), String> {
    let lines: Vec<String> = rules.iter().map(|rule| format!("add rule inet chaos input {rule}\n")).collect();
    said(Command::new("nft").arg(lines.concat())).map(|_| ())
}

/// Lets every packet through again. Returns how many were lost.
pub(super) fn clear_rules() -> Result<u64, String> {
    let chain = ["chain", "inet", "chaos", "input"];
    let listed = said(Command::new("nft").arg("list").args(chain))?;
    said(Command::new("nft").arg("flush").args(chain))?;
    Ok(lost_packets(&String::from_utf8_lossy(&listed.stdout)))
}

/// The sum of what the rules of a chain have counted.
fn lost_packets(chain: &str) -> u64 {
    let counted = chain.split("counter packets ").skip(1);
    counted.filter_map(|rest| rest.split(' ').next()?.parse::<u64>().ok()).sum()
}

/// Runs a command to its end. What it said is the error when it fails.
pub(super) fn said(command: &mut Command) -> Result<Output, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{program}: {error}"))?;
    match output.status.success() {
        true => Ok(output),
        false => Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim())),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn lost_packets_are_summed_over_all_rules() {
        let chain = "tcp dport 1 counter packets 12 bytes 5040 drop\n\
            udp sport 2 meta length > 1300 counter packets 30 bytes 99 drop";
        assert_eq!(super::lost_packets(chain), 42);
        assert_eq!(super::lost_packets("chain input { type filter hook input priority filter; }"), 0);
    }
}

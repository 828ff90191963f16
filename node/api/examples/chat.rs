//! A chat: everybody who knows the topic hears everybody, and who comes late hears the last messages.
//!
//! ```sh
//! cargo run -p chordage-api --example chat -- auto our-chat alice
//! ```
//!
//! **What a topic promises.** A message that was published reaches everybody who listens, once, while one of the nodes
//! that keep it can be reached and it is one of the topic's last 64. **What it does not.** Messages of two people come
//! in no particular order, names are what people call themselves (who published a message is told by its `publisher`),
//! and everybody who knows the topic can read it: seal what others should not.

use std::error::Error;

use chordage_api::client::Client;
use chordage_api::types::TopicMessage;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncWrite, AsyncWriteExt, BufReader};

/// How many messages who comes late is shown.
const LAST: u16 = 20;

/// One message as a line: without what would do something to a terminal.
fn line(message: &TopicMessage) -> String {
    let text = message.text.as_deref().unwrap_or("(no text)");
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let publisher: String = message.publisher.to_string().chars().take(8).collect();
    format!("[{publisher}] {text}\n")
}

/// Shows what others say, and says each line of `input`, until that ends and `until` says that enough was heard.
pub(crate) async fn run(
    daemon: &str,
    topic: &str,
    name: &str,
    input: impl AsyncBufRead + Unpin,
    mut output: impl AsyncWrite + Unpin,
    mut until: impl FnMut(&str) -> bool,
) -> Result<(), Box<dyn Error>> {
    let daemon = Client::find(daemon)?;
    let mut heard = daemon.subscribe_topic(topic, LAST).await?;
    let mut lines = input.lines();
    let mut typing = true;
    loop {
        tokio::select! {
            said = lines.next_line(), if typing => match said? {
                Some(said) => {
                    let report = daemon.publish_message(topic, format!("{name}: {said}").into_bytes()).await?;
                    debug_assert!(report.stored > report.of / 2, "else it would be an error");
                }
                None => typing = false,
            },
            message = heard.next() => {
                let Some(message) = message? else { return Ok(()) };
                let line = line(&message);
                output.write_all(line.as_bytes()).await?;
                output.flush().await?;
                if until(&line) {
                    return Ok(());
                }
            }
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [daemon, topic, name] = &args[..] else { return Err("usage: chat DAEMON TOPIC NAME".into()) };
    run(daemon, topic, name, BufReader::new(tokio::io::stdin()), tokio::io::stdout(), |_| false).await
}

use hickory_proto::op::{MessageType, OpCode};
use hickory_proto::rr::Record;
use hickory_proto::rr::rdata::{CNAME, TXT};
use proptest::prelude::*;
use tokio::net::UdpSocket;

use super::*;

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

/// An answer to `question`, with these records.
fn answer(question: &Message, records: &[(&str, RData)]) -> Message {
    let mut answer = Message::response(question.metadata.id, OpCode::Query);
    answer.add_query(question.queries[0].clone());
    for (owner, data) in records {
        answer.add_answer(Record::from_rdata(name(owner), 60, data.clone()));
    }
    answer
}

fn text(text: &[&str]) -> RData {
    RData::TXT(TXT::new(text.iter().map(ToString::to_string).collect()))
}

/// A resolver that answers each question with what `make` makes of it, in this order.
async fn resolver(make: impl Fn(&Message) -> Vec<Message> + Send + 'static) -> Resolver {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 2048];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            for answer in make(&decode(&buffer[..length]).unwrap()) {
                socket.send_to(&answer.to_vec().unwrap(), from).await.unwrap();
            }
        }
    });
    Resolver::new(vec![address])
}

#[tokio::test]
async fn an_answer_that_does_not_fit_the_question_is_passed_over() {
    let resolver = resolver(|question| {
        let good = answer(question, &[("a.example.", text(&["go", "od"])), ("b.example.", text(&["other"]))]);
        let mut other_id = answer(question, &[("a.example.", text(&["forged"]))]);
        other_id.metadata.id = question.metadata.id.wrapping_add(1);
        let mut other_name = other_id.clone();
        other_name.metadata.id = question.metadata.id;
        other_name.queries[0].set_name(name("b.example."));
        let mut no_answer = answer(question, &[("a.example.", text(&["forged"]))]);
        no_answer.metadata.message_type = MessageType::Query;
        vec![other_id, other_name, no_answer, good]
    });
    let found = resolver.await.texts("A.example").await.unwrap();
    assert_eq!(found, Texts { texts: vec![b"good".to_vec()], ttl: 60 });
}

#[tokio::test]
async fn aliases_are_followed_and_not_without_an_end() {
    let alias = |to: &str| RData::CNAME(CNAME(name(to)));
    let chain =
        [("b.", alias("c.")), ("a.", alias("b.")), ("c.", text(&["here"])), ("a.", text(&["not here"]))];
    let found = resolver(move |question| vec![answer(question, &chain)]).await.texts("a").await.unwrap();
    assert_eq!(found.texts, [b"here"]);
    let circle = [("a.", alias("b.")), ("b.", alias("a."))];
    let found = resolver(move |question| vec![answer(question, &circle)]).await.texts("a").await.unwrap();
    assert_eq!(found.texts, Vec::<Vec<u8>>::new());
}

#[tokio::test]
async fn what_a_resolver_says_is_told_from_its_silence() {
    let says = |code| {
        resolver(move |question| {
            let mut answer = answer(question, &[]);
            answer.metadata.response_code = code;
            vec![answer]
        })
    };
    let asked = says(ResponseCode::NXDomain).await.texts("a").await;
    assert!(matches!(asked, Err(ResolverError::NoSuchDomain)), "{asked:?}");
    let asked = says(ResponseCode::ServFail).await.texts("a").await;
    assert!(matches!(asked, Err(ResolverError::Failed(_, ResponseCode::ServFail))), "{asked:?}");
    let asked = says(ResponseCode::NoError).await.texts(&"a".repeat(64)).await;
    assert!(matches!(asked, Err(ResolverError::Name(_))), "{asked:?}");
    let asked = resolver(|_| Vec::new()).await.texts("a").await;
    assert!(matches!(asked, Err(ResolverError::Timeout)), "{asked:?}");
}

proptest! {
    #[test]
    fn no_bytes_of_strangers_are_a_reason_to_panic(bytes in prop::collection::vec(any::<u8>(), 0..600), one in any::<bool>()) {
        let mut bytes = bytes;
        if one && bytes.len() > 12 {
            bytes[4..12].copy_from_slice(&[0, 1, 0, 2, 0, 1, 0, 1]);
        }
        let _ = decode(&bytes).map(|message| texts(&message, Name::root()));
    }
}

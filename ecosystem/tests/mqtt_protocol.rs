//! mqtt-protocol: MQTT packets over coop's streams, against the broker `mosquitto`.

mod common;

use common::{Directory, Program, appears, has_tool, killed, run, tells_of_the_kill};
use coop::net::UnixStream;
use mqtt::control::variable_header::ConnectReturnCode;
use mqtt::packet::{ConnectPacket, PublishPacket, QoSWithPacketIdentifier, SubscribePacket, VariablePacket};
use mqtt::{Decodable, Encodable, QualityOfService, TopicFilter, TopicName};
use std::io;
use std::process::Command;

/// A broker of this test's own.
struct Broker {
    _program: Program,
    directory: Directory,
}

impl Broker {
    fn start() -> Option<Broker> {
        if !has_tool(&["sh", "-c", "command -v mosquitto"]) {
            return None;
        }
        let directory = Directory::new();
        let socket = directory.path("mqtt.sock");
        // Started by root it would become another user, whom the directory does not take a socket from.
        let listener = format!("listener 0 {}\nallow_anonymous true\nuser root\n", socket.display());
        directory.write("mosquitto.conf", listener);
        let program = Program::start(Command::new("mosquitto").arg("-c").arg(directory.path("mosquitto.conf")));
        appears(&socket);
        program.line_with(" running");
        Some(Broker { _program: program, directory })
    }

    fn connect(&self, name: &str) -> io::Result<UnixStream> {
        let mut conn = UnixStream::connect(self.directory.path("mqtt.sock"))?;
        let mut connect = ConnectPacket::new(name);
        connect.set_clean_session(true);
        connect.encode(&mut conn)?;
        match next(&mut conn)? {
            VariablePacket::ConnackPacket(answer) => {
                assert_eq!(answer.connect_return_code(), ConnectReturnCode::ConnectionAccepted);
                Ok(conn)
            }
            other => panic!("no answer to a connect: {other:?}"),
        }
    }
}

fn next(conn: &mut UnixStream) -> io::Result<VariablePacket> {
    VariablePacket::decode(conn).map_err(io::Error::other)
}

#[test]
fn fifty_subscribers_receive_what_a_publisher_sends() {
    const MESSAGES: u8 = 20;
    let Some(broker) = Broker::start() else { return };
    run(|| {
        let everyone = coop::sync::Latch::new(50);
        coop::scope(|s| {
            for n in 0..50 {
                let (broker, everyone) = (&broker, &everyone);
                s.try_spawn(move || {
                    let mut conn = broker.connect(&format!("subscriber-{n}"))?;
                    let topics = vec![(TopicFilter::new("news/#").unwrap(), QualityOfService::Level0)];
                    SubscribePacket::new(1, topics).encode(&mut conn)?;
                    assert!(matches!(next(&mut conn)?, VariablePacket::SubackPacket(_)));
                    everyone.count_down();
                    for message in 0..MESSAGES {
                        match next(&mut conn)? {
                            VariablePacket::PublishPacket(packet) => {
                                assert_eq!(packet.topic_name(), "news/today");
                                assert_eq!(packet.payload(), vec![message; 5000]);
                            }
                            other => panic!("no message: {other:?}"),
                        }
                    }
                    Ok(())
                });
            }
            let mut conn = broker.connect("publisher")?;
            everyone.wait()?;
            for message in 0..MESSAGES {
                let topic = TopicName::new("news/today").unwrap();
                PublishPacket::new(topic, QoSWithPacketIdentifier::Level0, vec![message; 5000]).encode(&mut conn)?;
            }
            Ok(())
        })
    });
}

#[test]
fn a_kill_reaches_through_it() {
    run(|| {
        let error = killed(|mut conn| VariablePacket::decode(&mut conn).unwrap_err())?;
        assert!(tells_of_the_kill(&error), "{error:?}");
        Ok(())
    });
}

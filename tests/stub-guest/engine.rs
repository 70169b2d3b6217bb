//! In place of an engine: answers every request on a unix socket as `/_ping` is answered, but for what is posted to `/echo`,
//! which it sends back; or sends back what comes to a TCP port. And in place of clients of sockets: sends its input to one,
//! and prints so many bytes of the answer.
//!
//!     engine PATH|PORT
//!     engine ask PATH BYTES

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread;

fn main() {
    let place = std::env::args().nth(1).expect("a path or a port");
    if place == "ask" {
        ask();
        return;
    }
    match place.parse() {
        Ok(port) => {
            let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).expect("a free port");
            for stream in listener.incoming().flatten() {
                thread::spawn(move || echo(stream));
            }
        }
        Err(_) => {
            // Appears when it listens, as systemd's do.
            let _ = std::fs::remove_file(&place);
            let early = format!("{place}.early");
            let _ = std::fs::remove_file(&early);
            let listener = UnixListener::bind(&early).expect("a place for a socket");
            let everyone = std::fs::Permissions::from_mode(0o666);
            std::fs::set_permissions(&early, everyone).expect("it is ours");
            std::fs::rename(&early, &place).expect("it is ours");
            for stream in listener.incoming().flatten() {
                thread::spawn(move || answer(stream));
            }
        }
    }
}

fn ask() {
    let words: Vec<String> = std::env::args().skip(2).collect();
    let mut stream = UnixStream::connect(&words[0]).expect("somebody listens");
    let mut question = Vec::new();
    std::io::stdin().read_to_end(&mut question).expect("a question");
    stream.write_all(&question).expect("it is read");
    let mut answer = vec![0; words[1].parse().expect("a number")];
    stream.read_exact(&mut answer).expect("an answer");
    std::io::stdout().write_all(&answer).expect("it is read");
}

/// To each request, one after the other, for as long as the client wants.
fn answer(mut stream: UnixStream) {
    let mut request = Vec::new();
    let mut piece = [0; 4096];
    while let Ok(length @ 1..) = stream.read(&mut piece) {
        request.extend_from_slice(&piece[..length]);
        let Some(end) = request.windows(4).position(|end| end == b"\r\n\r\n") else {
            continue;
        };
        let head = String::from_utf8_lossy(&request[..end]).into_owned();
        let lines = head.lines();
        let length = lines
            .filter_map(|line| line.strip_prefix("Content-Length: "))
            .next();
        let length: usize = length.and_then(|length| length.parse().ok()).unwrap_or(0);
        let Some(body) = request.get(end + 4..end + 4 + length) else {
            continue;
        };
        let said = if head.starts_with("POST /echo") {
            body
        } else {
            b"OK"
        };
        let stays = !head.contains("Connection: close");
        let kept = if stays { "" } else { "Connection: close\r\n" };
        let top = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n{kept}\r\n",
            said.len()
        );
        let answer = [top.as_bytes(), said].concat();
        if stream.write_all(&answer).is_err() || !stays {
            return;
        }
        request.drain(..end + 4 + length);
    }
}

fn echo(mut stream: TcpStream) {
    let mut piece = [0; 4096];
    while let Ok(length @ 1..) = stream.read(&mut piece) {
        if stream.write_all(&piece[..length]).is_err() {
            return;
        }
    }
}

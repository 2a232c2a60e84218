//! What the broker's process and the applications do when they are told to.

use super::{End, PEERS, World};
use p2pgate::broker::{Event as BrokerEvent, StoreOperation, Stored};
use p2pgate::lane::{HEADROOM, TAILROOM};
use p2pgate::mpeg::Class;
use p2pgate::terminal::{Event, LinkId, Piece, SessionId, TransmitError, blob_size};

impl World {
    pub(super) fn broker_events(&mut self) -> bool {
        let now = self.now;
        let mut moved = false;
        while let Some(event) = self.broker.poll_event() {
            moved = true;
            match event {
                BrokerEvent::Transmit(connection) => {
                    let mut out = Vec::new();
                    self.broker.poll_transmit(connection, &mut out);
                    self.write(End::Broker(connection), &out);
                }
                BrokerEvent::Close(connection) => {
                    let mut out = Vec::new();
                    self.broker.poll_transmit(connection, &mut out);
                    self.write(End::Broker(connection), &out);
                    if let Some((pipe, side)) = self.find(End::Broker(connection)) {
                        self.pipes.get_mut(&pipe).unwrap().closing[side] = true;
                    }
                }
                BrokerEvent::Store(request, operation) => {
                    let stored = self.store(operation);
                    self.broker.stored(request, stored, now);
                }
                BrokerEvent::Splice { first, second, .. } => {
                    self.splices.insert(first, second);
                    self.splices.insert(second, first);
                }
                BrokerEvent::Cut { first, second } => {
                    for end in [first, second] {
                        if let Some((pipe, _)) = self.find(End::Broker(end)) {
                            self.cut(pipe);
                        }
                    }
                }
                event @ (BrokerEvent::Deposit { .. } | BrokerEvent::Collect { .. }) => self.shelve(event),
                BrokerEvent::LookUp { request, names } => self.lookups.push((request, names)),
                BrokerEvent::DialResolver | BrokerEvent::FindLease { .. } | BrokerEvent::Reach { .. } => {}
                BrokerEvent::Log(record) => self.logs.push(record.to_string()),
            }
        }
        moved
    }

    pub(super) fn store(&mut self, operation: StoreOperation) -> Stored {
        match operation {
            StoreOperation::Enrol { identifier, ticket_digest, key } => {
                if ticket_digest.is_none_or(|digest| !self.tickets.remove(&digest)) {
                    return Stored::Refused;
                }
                self.keys.insert(identifier.to_string(), key);
                Stored::Done
            }
            StoreOperation::SaveList { identifier, revision, list, .. } => {
                if self.list_outcome == Stored::Done {
                    let names = list.iter().map(|(name, _)| name.to_string()).collect();
                    self.lists.insert(identifier.to_string(), (revision, names));
                }
                self.list_outcome
            }
            StoreOperation::SaveAddress { .. } | StoreOperation::SaveGroup { .. } => Stored::Done,
            operation => self.store_deposit(operation),
        }
    }

    pub(super) fn node_events(&mut self, node: usize) -> bool {
        let mut moved = false;
        while let Some(event) = self.nodes[node].terminal.poll_event() {
            moved = true;
            self.nodes[node].events.push(event);
            let now = self.now;
            self.nodes[node].times.push(now);
            self.act(node, event);
        }
        moved
    }

    pub(super) fn act(&mut self, node: usize, event: Event) {
        let now = self.now;
        match event {
            Event::Connect { link, to } => self.connect(node, link, to),
            Event::Close { link } => {
                self.transmit_link(node, link);
                self.later.retain(|(_, other, waiting, _)| (*other, *waiting) != (node, link));
                if let Some((pipe, side)) = self.find(End::Node(node, link)) {
                    self.pipes.get_mut(&pipe).unwrap().closing[side] = true;
                }
            }
            Event::Persist if self.nodes[node].auto_persist => {
                let mut blob = vec![0; blob_size(PEERS)];
                let length = self.nodes[node].terminal.blob(&mut blob).unwrap();
                self.nodes[node].blob = blob[..length].to_vec();
                self.nodes[node].terminal.persisted();
            }
            Event::Offered { session } if self.nodes[node].auto_accept => self.accept(node, session),
            Event::DepositOffered { session, .. } => self.answer_question(node, session),
            Event::DepositKept { session, offset } => self.deposit_from(node, session, offset),
            Event::Ready { session, offset } if self.nodes[node].sending.contains_key(&session) => {
                self.send_all(node, session, offset);
            }
            Event::Ready { session, offset } => self.deposit_from(node, session, offset),
            Event::Arrived { session, hash } => {
                let place = &mut self.nodes[node];
                let data = place.received.remove(&session).unwrap_or_default();
                place.arrived.push(data);
                place.hashes.push(hash);
                if place.auto_store {
                    let _ = place.terminal.stored(session, Ok(()), now);
                }
            }
            _ => {}
        }
    }

    pub fn accept(&mut self, node: usize, session: SessionId) {
        let now = self.now;
        let node = &mut self.nodes[node];
        // Err: the offer was withdrawn before its event was taken.
        if node.terminal.accept(session, node.resume_at, now).is_ok() {
            node.received.insert(session, node.start.clone());
        }
    }

    pub(super) fn send_all(&mut self, node: usize, session: SessionId, start: u64) {
        let now = self.now;
        let Some(sending) = self.nodes[node].sending.remove(&session) else { return };
        let terminal = &mut self.nodes[node].terminal;
        let most = terminal.max_payload(session);
        if most == 0 {
            // The transfer ended before its event was taken.
            return;
        }
        let mut offset = 0_u64;
        let mut buffer = vec![0; HEADROOM + most + TAILROOM];
        let mut frames = Vec::new();
        for (segment, (class, bytes)) in sending.segments.iter().enumerate() {
            for piece in bytes.chunks(most) {
                let end = offset + piece.len() as u64;
                if end > start {
                    let skip = start.saturating_sub(offset) as usize;
                    let piece = &piece[skip..];
                    buffer[HEADROOM..HEADROOM + piece.len()].copy_from_slice(piece);
                    let place = Piece {
                        class: *class,
                        segment: segment as u64,
                        offset: offset + skip as u64,
                        length: piece.len(),
                    };
                    let (link, range) = terminal.seal(session, place, &mut buffer, now).unwrap();
                    frames.push((link, buffer[range].to_vec()));
                }
                offset = end;
            }
        }
        let segments = sending.segments.len() as u64;
        for class in [Class::Sealed, Class::Rest] {
            let hash = sending.hash.as_ref();
            if let Ok((link, range)) = terminal.seal_end(session, class, segments, hash, &mut buffer, now) {
                frames.push((link, buffer[range].to_vec()));
            }
        }
        if let Some(tamper) = &mut self.tamper {
            tamper(&mut frames);
        }
        for (link, frame) in frames {
            self.write(End::Node(node, link), &frame);
        }
    }

    pub(super) fn transmit_link(&mut self, node: usize, link: LinkId) -> bool {
        let mut moved = false;
        let mut size = if self.narrow { 0 } else { 8_192 };
        loop {
            let mut out = vec![0; size];
            match self.nodes[node].terminal.poll_transmit(link, &mut out, self.now) {
                Ok(0) => return moved,
                Ok(length) => {
                    moved = true;
                    self.write(End::Node(node, link), &out[..length]);
                    size = if self.narrow { 0 } else { size };
                }
                Err(TransmitError::BufferTooSmall { needed }) => {
                    assert!(needed > size, "{needed} bytes are not enough");
                    size = needed;
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    pub(super) fn transmit(&mut self) -> bool {
        let mut moved = false;
        let links: Vec<_> =
            self.pipes.values().filter(|pipe| !pipe.dead).flat_map(|pipe| pipe.ends).collect();
        for end in links {
            if let End::Node(node, link) = end {
                moved |= self.transmit_link(node, link);
            }
        }
        moved
    }
}

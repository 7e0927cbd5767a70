//! The lock: who may be down, and who is next.
//!
//! What is here is the pure core, [`book::Book`]: no file, no clock, no network, no chance. A request and the time go in, an
//! [`answer::Outcome`] comes out. **Its events are on disk, all or none, before its answer or any of its notices goes out**; if they cannot be written, [`book::Book::go_back`] makes them not have happened. A book is begun again from the
//! grants and the highest number that a store holds; the events in order are the history.
//!
//! ```text
//!                                   a grant: durable, no clock touches it
//!
//!                      down until T     ┌───┐  overdue (told once)
//!                                       │   ▼
//!   acquire, poll ───────────────────▶ GRANTED ──── release (owner + number) ───────────────▶ ended
//!     all free, nobody ahead            ▲ ▲  │ └─── legacy release (owner; legacy grants) ──▶ ended
//!                                       │ │  └───── force release (name + reason;
//!                     asks again        │ │           while down: said twice) ──────────────▶ ended
//!                  ┌────────────────────┘ │
//!                  │                      │ polls while the slot is left free
//!                  │                      │
//!                  │                      │     a waiter: in memory, gone at a restart of the service
//!                  │                      │
//!               OFFERED ◀── its turn ── WAITING ◀───── acquire --wait, poll: something is held
//!                  │                     │  ▲
//!       30 s over  │     connection gone │  │ asks again: same place
//!                  ▼     no poll in time ▼  │
//!               forgotten ◀── too long ─ AWAY   passed over
//! ```
//!
//! The rules, each with a test of its name:
//!
//! * **Order.** One order of arrival for all locks; a queue is that order seen from one lock. The same client that asks again
//!   for the same locks keeps its place, on its newest connection. After a restart of the service the order is that in which
//!   the clients ask again; grants are not touched by it.
//! * **Offer.** A slot that is free is offered to the first that is present; asking again is accepting. An offer stands for 30 s,
//!   no matter which connections come and go, and then the waiter has lost its place. A waiter that is away keeps its place
//!   for 60 s and is passed over. So nothing is ever granted but in answer to a request.
//! * **Clients that poll** are present for one interval after each poll: so long a free slot is left for them, then it goes on to
//!   the next. Their place is kept while they poll, and forgotten three intervals after the last one.
//! * **Several locks** are granted together or not at all. Others pass a waiter that lacks one of them; but when it is the
//!   next for each lock that it lacks, its free ones are kept for it: for 1 minute, for 2 after it was passed once, then 4, 8,
//!   at most an hour, and not at all while those who hold what it lacks have held it for over an hour. So it holds up nobody
//!   for ever, and is served in the end if nobody keeps a lock for longer than an hour.
//! * **Deadlock.** Who holds a lock and would wait for ever for another one, because those that hold it wait for the first,
//!   is refused at once.
//! * **One name, one host.** An owner that holds or waits is answered again if it is the same host, and refused if not.
//! * **No present waiter starves**: each one ahead of it takes its slot or is passed over, after 30 s (offered; it is out then),
//!   one interval (polling) or its patience (several locks). One that was passed over comes back in front at most once
//!   between two grants.

pub mod acquire;
pub mod answer;
pub mod book;
mod deadlock;
pub mod grant;
pub mod ledger;
pub mod name;
pub mod queue;
pub mod release;
pub mod terms;
pub mod time;
mod turn;
pub mod why;

#[cfg(test)]
mod book_tests;
#[cfg(test)]
mod random_tests;

/*
 * p2pgate: share recordings between permitted devices through a broker.
 *
 * A terminal does no I/O, has no clock, no threads and no heap, and calls nothing of yours. You open and close connections as its events say, hand in
 * what arrives, write what it gives, and tell it the time. All memory is yours:
 *
 *     static uint64_t terminal[P2PGATE_TERMINAL_WORDS(1, 16)];    // one session at a time, 16 terminals known
 *
 *     static int start(const uint8_t secret_key[32], const uint8_t broker_key[32],     // made once, stored
 *                      const uint8_t seed[32], const uint8_t entropy[32])
 *     {
 *         uint8_t new_seed[32];
 *         p2pgate_config_t config = {0};
 *         config.struct_size = sizeof config;
 *         config.identifier = "living-room";
 *         config.identifier_length = 11;
 *         config.secret_key = secret_key;
 *         config.broker_key = broker_key;
 *         config.max_record = 2048;
 *         config.max_frame = 16384;
 *         config.suite = P2PGATE_SUITE_AES_128_CTR_HMAC_SHA256_80;
 *         config.listen = 1;
 *         config.load_limit = 80;
 *         config.load_hysteresis = 10;
 *         config.load_sessions = 1;
 *         if (p2pgate_terminal_init(terminal, P2PGATE_TERMINAL_WORDS(1, 16), 1, 16, &config, seed, entropy, new_seed) != P2PGATE_OK)
 *             return 0;
 *         return store_seed(new_seed) && p2pgate_terminal_connect(terminal, milliseconds()) == P2PGATE_OK;
 *     }
 *
 *     static void serve(void)                                  // after every call into the terminal
 *     {
 *         p2pgate_event_t event;
 *         uint8_t out[P2PGATE_TRANSMIT_LENGTH(16)];
 *         size_t length, at;
 *         uint32_t link;
 *
 *         while (p2pgate_terminal_poll_event(terminal, &event) == P2PGATE_OK) {
 *             if (event.kind == P2PGATE_EVENT_CONNECT)
 *                 open_connection(event.link, &event.address);  // then p2pgate_terminal_link_opened, or _link_closed
 *             else if (event.kind == P2PGATE_EVENT_CLOSE)
 *                 close_connection(event.link);
 *             else if (event.kind == P2PGATE_EVENT_PERSIST && store_list(terminal))    // p2pgate_terminal_blob, to flash
 *                 p2pgate_terminal_persisted(terminal);
 *         }
 *         for (at = 0; next_connection(&at, &link);)
 *             while (p2pgate_terminal_poll_transmit(terminal, link, out, sizeof out, milliseconds(), &length) == P2PGATE_OK)
 *                 write_connection(link, out, length);
 *     }
 *
 * Rules for all functions:
 * - They return P2PGATE_OK (0), a positive result where there is nothing to do, or a negative error; p2pgate_strerror says it in words. Outputs are
 *   written on P2PGATE_OK only, and an error changes nothing unless the function says otherwise.
 * - A pointer with a length may be NULL if the length is 0. Any other pointer must be valid for what it is used for; NULL is P2PGATE_E_NULL. Outputs must
 *   not overlap with inputs or with the object.
 * - Nothing that you give is kept: texts, keys and configurations may go once the function returns. No pointer to the library's memory is given out, but
 *   p2pgate_strerror's texts, which are static.
 * - An object (p2pgate_..._t with words, or a terminal's storage) is initialised where it stays until its deinit, which wipes it. It is neither copied nor
 *   moved: a function on a copy, on storage never initialised or on an object deinitialised says P2PGATE_E_OBJECT. Storage should be zeroed at first
 *   (static storage is).
 * - Threads: one at a time for one object; different objects are independent of each other. No function waits.
 * - Times are milliseconds of a clock that never goes back, from any start. Lengths are bytes. Texts are UTF-8 with a length, without NUL.
 * - Numbers of results, events, causes and steps stay what they are; later versions add some.
 */

#ifndef P2PGATE_H
#define P2PGATE_H

#include <stddef.h>
#include <stdint.h>

// Major version of the library.
#define P2PGATE_VERSION_MAJOR 0

// Minor version of the library.
#define P2PGATE_VERSION_MINOR 1

// Patch version of the library.
#define P2PGATE_VERSION_PATCH 0

// Number of the binary interface: it grows when a program that was compiled with an older header may no longer work.
#define P2PGATE_ABI_VERSION 1

// Bytes of room that are always enough for p2pgate_terminal_seal_part. A terminal whose max_frame is smaller than this less 4 takes no part in deposits.
#define P2PGATE_MAX_PART_HEADER 444

// Open a connection to `address`, or to the broker if its family is 0, then say link_opened or link_closed. Fields: link, address.
#define P2PGATE_EVENT_CONNECT 1

// Write what poll_transmit and seal gave before, then close the connection; link_closed need not be said. Fields: link.
#define P2PGATE_EVENT_CLOSE 2

// Store what p2pgate_terminal_blob gives where it outlasts a reset, then say p2pgate_terminal_persisted.
#define P2PGATE_EVENT_PERSIST 3

// The control link is up and the broker knows this terminal. Fields: flag: the broker relays.
#define P2PGATE_EVENT_ONLINE 4

// The control link is down; it is tried again by itself unless the cause says otherwise. Fields: cause: P2PGATE_OFFLINE_...
#define P2PGATE_EVENT_OFFLINE 5

// The broker has this terminal's list on disk (M5). Fields: number: the list's number.
#define P2PGATE_EVENT_REGISTERED 6

// The broker refused the list (M5). Fields: cause: the broker's status code.
#define P2PGATE_EVENT_REGISTER_FAILED 7

// The broker has this terminal's address (M23).
#define P2PGATE_EVENT_ADDRESS_KNOWN 8

// The broker asked whether this terminal is free (M15), and this was the answer (M16). Fields: flag: free.
#define P2PGATE_EVENT_ASKED 9

// The broker announced a caller (M12); the session waits for it. Fields: session.
#define P2PGATE_EVENT_EXPECTED 10

// The broker announced a caller that this terminal's list or pins don't allow; it was refused. Fields: flag: its key is not the pinned one.
#define P2PGATE_EVENT_UNEXPECTED 11

// A connection was refused; for the log. Fields: cause: P2PGATE_REFUSED_...
#define P2PGATE_EVENT_REFUSED 12

// The broker said yes, go on (M7). Fields: session.
#define P2PGATE_EVENT_PERMITTED 13

// The broker told the callee's address (M11). Fields: session.
#define P2PGATE_EVENT_GRANTED 14

// No direct connection came about: the session goes on through the broker. Fields: session.
#define P2PGATE_EVENT_TUNNELLING 15

// The peer link is up: each end has proven itself to the other. Fields: session; flag: through the broker.
#define P2PGATE_EVENT_CONNECTED 16

// The call came to nothing; the session is gone. Fields: session; cause: P2PGATE_DENIED_...; flag: number is seconds to wait before the next try.
#define P2PGATE_EVENT_DENIED 17

// The other end wants to send: see p2pgate_terminal_offered, answer with accept or refuse. Fields: session.
#define P2PGATE_EVENT_OFFERED 18

// The other end takes the recording and all lanes are up. Fields: session; number: send from this byte on.
#define P2PGATE_EVENT_READY 19

// Every byte came, and the lanes' ends agree: store the recording, then say stored or not_stored. Fields: session; flag: hash is its SHA-256.
#define P2PGATE_EVENT_ARRIVED 20

// The receiver has stored the recording. Fields: session.
#define P2PGATE_EVENT_DELIVERED 21

// The transfer is over without success; the session stays, unless it is a deposit's. Fields: session; cause: P2PGATE_FAILED_...
#define P2PGATE_EVENT_TRANSFER_FAILED 22

// The session is over. Fields: session; cause: P2PGATE_CLOSED_...
#define P2PGATE_EVENT_CLOSED 23

// The callee can't be reached now, but the broker would keep a recording for it (M19): answer with p2pgate_terminal_deposit or
// p2pgate_terminal_decline_deposit; without an answer within a minute it is declined. Fields: session; number: the most bytes.
#define P2PGATE_EVENT_DEPOSIT_OFFERED 24

// The broker has stored so much of the deposit: where p2pgate_terminal_seal_part said P2PGATE_E_NOT_YET, go on. Fields: session; number: bytes.
#define P2PGATE_EVENT_DEPOSIT_KEPT 25

// The broker has stored the whole deposit and keeps it for the callee; P2PGATE_EVENT_CLOSED follows. Fields: session; deposit.
#define P2PGATE_EVENT_DEPOSITED 26

// The callee has what was deposited. Fields: deposit.
#define P2PGATE_EVENT_DEPOSIT_COLLECTED 27

// The broker keeps the deposit no longer, and the callee does not have it. Pass over a number that you don't know. Fields: deposit.
#define P2PGATE_EVENT_DEPOSIT_DROPPED 28

// That was the answer to p2pgate_terminal_list_deposits. Fields: cause: the broker's status code, 200 if all has come.
#define P2PGATE_EVENT_DEPOSITS_LISTED 29

// The answer to p2pgate_terminal_withdraw_deposit. Fields: deposit; cause: the broker's status code, 200 if it is done.
#define P2PGATE_EVENT_DEPOSIT_WITHDRAWN 30

// A permitted caller has deposited something (M21): it is collected once this terminal is free. Fields: deposit; number: bytes.
#define P2PGATE_EVENT_DEPOSIT_WAITING 31

// A deposit is being collected (M22): P2PGATE_EVENT_OFFERED follows, or the end. Fields: session.
#define P2PGATE_EVENT_COLLECTING 32

// The other end asks for a recording, or for the list of them: see p2pgate_terminal_wanted. Comes only after p2pgate_terminal_share. Fields: session.
#define P2PGATE_EVENT_WANTED 33

// The broker's answer to p2pgate_terminal_group. Fields: cause: the broker's status code, 200 if it has the group on disk.
#define P2PGATE_EVENT_GROUP_ANSWERED 40

// No connection, or it was lost.
#define P2PGATE_OFFLINE_UNREACHABLE 1

// What answers there is not the broker with the key given.
#define P2PGATE_OFFLINE_NOT_THE_BROKER 2

// This terminal's key is not enrolled for its identifier, or the ticket is not valid. It is not tried again.
#define P2PGATE_OFFLINE_NOT_ENROLLED 3

// The broker can't serve now, or said something malformed.
#define P2PGATE_OFFLINE_BROKER 4

// Another link of this terminal listens now. It is not tried again.
#define P2PGATE_OFFLINE_DISPLACED 5

// The connection did not open with a preamble of p2pgate's, or not in time.
#define P2PGATE_REFUSED_PREAMBLE 1

// Its handle names no grant, or one that is used or over.
#define P2PGATE_REFUSED_UNKNOWN_GRANT 2

// Its token names no lane.
#define P2PGATE_REFUSED_UNKNOWN_TOKEN 3

// Its handshake doesn't fit the grant.
#define P2PGATE_REFUSED_HANDSHAKE 4

// Its identifier or password is not the grant's.
#define P2PGATE_REFUSED_CREDENTIALS 5

// Its caller is no longer on the list.
#define P2PGATE_REFUSED_NOT_PERMITTED 6

// The broker: this terminal is not on the callee's list (M8).
#define P2PGATE_DENIED_NOT_PERMITTED 1

// The broker: the callee has no address (M9).
#define P2PGATE_DENIED_NOT_FOUND 2

// The broker: the callee is busy or out of reach (M10).
#define P2PGATE_DENIED_NOT_CONNECTED 3

// The callee itself said no (M14).
#define P2PGATE_DENIED_CALLEE 4

// The callee's key is not the one that this terminal pinned.
#define P2PGATE_DENIED_KEY_CHANGED 5

// Neither the callee's addresses nor a tunnel led to it.
#define P2PGATE_DENIED_UNREACHABLE 6

// There was no answer in time, or the control link went down meanwhile.
#define P2PGATE_DENIED_NO_ANSWER 7

// What answered at the callee's address could not prove to be the callee.
#define P2PGATE_DENIED_NOT_THE_CALLEE 8

// The receiver refused the transfer.
#define P2PGATE_FAILED_REFUSED_BY_RECEIVER 1

// The broker refused to relay or keep it: too large, it does not relay, or a limit; or it broke a deposit off.
#define P2PGATE_FAILED_REFUSED_BY_BROKER 2

// A lane could not be opened.
#define P2PGATE_FAILED_LANE_UNREACHABLE 3

// A lane was lost before its end.
#define P2PGATE_FAILED_LANE_LOST 4

// What arrived is not what was sent.
#define P2PGATE_FAILED_DAMAGED 5

// The other end could not go on.
#define P2PGATE_FAILED_OTHER_END 6

// The application gave up.
#define P2PGATE_FAILED_ABANDONED 7

// Nothing moved for too long.
#define P2PGATE_FAILED_IDLE 8

// The other end shares nothing, or can't send now what was asked for.
#define P2PGATE_FAILED_FETCH_REFUSED 9

// The other end has no such recording for this terminal.
#define P2PGATE_FAILED_NO_SUCH_RECORDING 10

// The application closed the session.
#define P2PGATE_CLOSED_HERE 1

// The other end closed it, or its connection was lost.
#define P2PGATE_CLOSED_OTHER_END 2

// The grant was withdrawn: the list changed, or a key was revoked.
#define P2PGATE_CLOSED_WITHDRAWN 3

// Nobody came, or nothing moved, in time.
#define P2PGATE_CLOSED_IDLE 4

// The other end broke the protocol.
#define P2PGATE_CLOSED_PROTOCOL 5

// Words of a load gate.
#define P2PGATE_GATE_WORDS 2

// Bytes of a secret key, a public key, a seed, a piece of entropy and a SHA-256.
#define P2PGATE_KEY_LENGTH 32

// Characters of a public key's text form. No NUL is written behind them.
#define P2PGATE_FINGERPRINT_LENGTH 43

// Longest identifier, bytes.
#define P2PGATE_MAX_IDENTIFIER 128

// Most bytes that go before a record of a split recording's file: its file's header and its end are no longer than P2PGATE_SEGMENT_BUFFER.
#define P2PGATE_SEGMENT_RECORD 20

// A buffer of so many bytes holds a file's header, a record's header or a file's end.
#define P2PGATE_SEGMENT_BUFFER 60

// Words of a segment writer.
#define P2PGATE_WRITER_WORDS 18

// Words of a merger.
#define P2PGATE_MERGER_WORDS 56

// Give bytes of the class's file to p2pgate_merger_read.
#define P2PGATE_MERGE_READ 0

// Copy bytes from the class's file to the recording, and give them to p2pgate_merger_copied.
#define P2PGATE_MERGE_COPY 1

// The recording is complete and right; both files have to end here.
#define P2PGATE_MERGE_DONE 2

// Done.
#define P2PGATE_OK 0

// There is nothing: no event, no deadline, no such entry, or more bytes are needed. Nothing was written.
#define P2PGATE_NOTHING 1

// A pointer is NULL that must not be. (NULL is taken where its length is 0.)
#define P2PGATE_E_NULL -1

// The storage is too small, or not aligned to 8 bytes.
#define P2PGATE_E_STORAGE -2

// The storage holds no such object: it was never initialised, was copied or moved, was deinitialised, or holds another kind.
#define P2PGATE_E_OBJECT -3

// `struct_size` is not the size that this library knows: set it to sizeof the struct, and compile with this library's header.
#define P2PGATE_E_STRUCT_SIZE -4

// A number is out of its range.
#define P2PGATE_E_ARGUMENT -5

// A text is not UTF-8.
#define P2PGATE_E_TEXT -6

// A text is no identifier: 1 to 128 bytes, no comma, no control character, no space at either end.
#define P2PGATE_E_IDENTIFIER -7

// The buffer is too small.
#define P2PGATE_E_BUFFER -8

// The ticket is over 64 bytes.
#define P2PGATE_E_TICKET -9

// More than four addresses.
#define P2PGATE_E_ADDRESSES -10

// The list has no place left.
#define P2PGATE_E_LIST_FULL -11

// The blob was written by another version.
#define P2PGATE_E_BLOB_VERSION -12

// The blob has more entries than this terminal has places.
#define P2PGATE_E_BLOB_ENTRIES -13

// The blob is cut short or altered.
#define P2PGATE_E_BLOB_DAMAGED -14

// A terminal can't call itself.
#define P2PGATE_E_ONESELF -15

// The broker is not connected.
#define P2PGATE_E_OFFLINE -16

// All places for sessions are taken.
#define P2PGATE_E_NO_SESSION -17

// There is no place to remember the callee's key.
#define P2PGATE_E_PEERS_FULL -18

// Too many connections have not yet said what they are for: close this one.
#define P2PGATE_E_INCOMING_FULL -19

// There is no such session, or its peer link is not up.
#define P2PGATE_E_NOT_OPEN -20

// The session has a transfer under way.
#define P2PGATE_E_BUSY -21

// The recording's name is not one path component of 1 to 255 bytes, too long for the other end, or not the one that it asked for.
#define P2PGATE_E_NAME -22

// What names the source's state is neither empty nor 8 to 32 bytes long.
#define P2PGATE_E_SOURCE -23

// No class has a way, or the session has no open lane for this class.
#define P2PGATE_E_NO_LANE -24

// The session has no transfer that waits for this call: take the events first.
#define P2PGATE_E_OUT_OF_TURN -25

// The payload is empty or larger than a frame that the receiver takes.
#define P2PGATE_E_PAYLOAD -26

// The bytes reach over the recording's length that was offered, or over what one frame can hold.
#define P2PGATE_E_TOO_LONG -27

// The other side takes no text as long as is to be sent.
#define P2PGATE_E_TEXT_TOO_LONG -28

// The link is over: close its connection.
#define P2PGATE_E_LINK_CLOSED -29

// The file doesn't begin as one of a split recording does.
#define P2PGATE_E_NOT_A_PART -30

// The file holds the other class.
#define P2PGATE_E_WRONG_CLASS -31

// The file or frame ends too early.
#define P2PGATE_E_TRUNCATED -32

// The files are damaged, or bytes were given that were not asked for.
#define P2PGATE_E_CORRUPT -33

// The two files are of different recordings.
#define P2PGATE_E_WRONG_PAIR -34

// The bytes are no frame.
#define P2PGATE_E_FRAME -35

// The frame is sealed under another key number.
#define P2PGATE_E_WRONG_KEY -36

// The frame is not the next: replayed, or others are missing.
#define P2PGATE_E_WRONG_COUNTER -37

// The frame was altered, or sealed by somebody else.
#define P2PGATE_E_NOT_AUTHENTIC -38

// The key has sealed all the frames that it may.
#define P2PGATE_E_EXHAUSTED -39

// The text is no public key: 43 characters of base64.
#define P2PGATE_E_KEY -40

// A part of the deposit begins here: write its header by p2pgate_terminal_seal_part first.
#define P2PGATE_E_PART_DUE -41

// The broker has not kept the part before yet: go on after P2PGATE_EVENT_DEPOSIT_KEPT.
#define P2PGATE_E_NOT_YET -42

// A deposit's bytes come one after the other, without gaps.
#define P2PGATE_E_GAP -43

// AES_128_CTR_HMAC_SHA256_80: for every device.
#define P2PGATE_SUITE_AES_128_CTR_HMAC_SHA256_80 1

// AES_128_GCM_SHA256_128: for CPUs that have instructions for AES.
#define P2PGATE_SUITE_AES_128_GCM_SHA256_128 4

// Bytes to leave free before what p2pgate_sealer_seal seals.
#define P2PGATE_SFRAME_HEADROOM 17

// Bytes to leave free after it.
#define P2PGATE_SFRAME_TAILROOM 16

// As p2pgate_opener_open's metadata length: all but the tag, that is a clear frame.
#define P2PGATE_ALL_BUT_TAG 4294967295

// Words of a sealer or an opener.
#define P2PGATE_SFRAME_WORDS 24

// Words of a SHA-256.
#define P2PGATE_SHA256_WORDS 16

// To be encrypted.
#define P2PGATE_CLASS_SEALED 0

// Positively not part of what is selected for encryption.
#define P2PGATE_CLASS_REST 1

// Seal I-pictures, as the source document has it.
#define P2PGATE_SELECT_INTRA 0

// Seal I-pictures, and P-fields that complete the frame of an I-field.
#define P2PGATE_SELECT_INTRA_AND_SECOND_FIELD 1

// Seal I and P pictures.
#define P2PGATE_SELECT_ANCHORS 2

// Seal all of the video.
#define P2PGATE_SELECT_ALL 3

// Seal I-pictures, and slices of P and B pictures of MPEG-1 and MPEG-2 that hold intra-coded macroblocks or can't be read, and all of H.264 and HEVC.
// Only in a library built with the feature `blocks`, which it has by default; the window has to be P2PGATE_SPLITTER_BLOCKS_WINDOW bytes.
#define P2PGATE_SELECT_INTRA_BLOCKS 4

// No container that is known: all is sealed.
#define P2PGATE_CONTAINER_UNKNOWN 0

// A video elementary stream.
#define P2PGATE_CONTAINER_ES 1

// An MPEG-1 system stream or MPEG-2 program stream.
#define P2PGATE_CONTAINER_PS 2

// A transport stream.
#define P2PGATE_CONTAINER_TS 3

// An MP4 or QuickTime file: all is sealed.
#define P2PGATE_CONTAINER_MP4 4

// No video coding that is known.
#define P2PGATE_CODEC_UNKNOWN 0

// ISO/IEC 11172-2.
#define P2PGATE_CODEC_MPEG1 1

// ISO/IEC 13818-2.
#define P2PGATE_CODEC_MPEG2 2

// ISO/IEC 14496-10; sealed as a whole by a library built without the feature `nal`.
#define P2PGATE_CODEC_H264 3

// ISO/IEC 23008-2; sealed as a whole by a library built without the feature `nal`.
#define P2PGATE_CODEC_HEVC 4

// A window of this many bytes always gives a span: the most that the application has to keep.
#define P2PGATE_SPLITTER_WINDOW 4096

// The same with P2PGATE_SELECT_INTRA_BLOCKS; slices that need more are sealed.
#define P2PGATE_SPLITTER_BLOCKS_WINDOW 65536

// Words of a splitter for MPEG-1 and MPEG-2, which is what a library without the feature `nal` has.
#define P2PGATE_SPLITTER_WORDS 124

// Words of a splitter for H.264 and HEVC too.
#define P2PGATE_SPLITTER_NAL_WORDS 256

// Words of a splitter that has P2PGATE_SELECT_INTRA_BLOCKS too, which is what the library has by default.
#define P2PGATE_SPLITTER_BLOCKS_WORDS 384

// Words of a terminal besides its places; see P2PGATE_TERMINAL_WORDS.
#define P2PGATE_CORE_WORDS 258

// Words of a place for a session; see P2PGATE_TERMINAL_WORDS.
#define P2PGATE_SESSION_WORDS 125

// Words of a place for a terminal that is known; see P2PGATE_TERMINAL_WORDS.
#define P2PGATE_PEER_WORDS 23

// The smallest frame that a receiver may limit a sender to, bytes.
#define P2PGATE_MIN_FRAME 118

// The class has no lane.
#define P2PGATE_WAY_NONE 0

// Encrypted, through the broker.
#define P2PGATE_WAY_RELAY_SEALED 1

// Encrypted, straight to the other terminal.
#define P2PGATE_WAY_DIRECT_SEALED 2

// Readable, straight to the other terminal.
#define P2PGATE_WAY_DIRECT_CLEAR 3

// All of the recording encrypted, through the broker where the broker relays.
#define P2PGATE_ATTRIBUTE_CONFIDENTIAL 0

// All of it straight to the callee, authenticated but readable on the way.
#define P2PGATE_ATTRIBUTE_PUBLIC 1

// I-pictures (and all that is undecided) encrypted through the broker, the rest direct and readable (V10b).
#define P2PGATE_ATTRIBUTE_SPLIT 2

// By size: small recordings encrypted through the broker, large ones encrypted and direct (V10a).
#define P2PGATE_ATTRIBUTE_BY_SIZE 3

// The user said no.
#define P2PGATE_CAUSE_DECLINED 0

// There is no room for the recording.
#define P2PGATE_CAUSE_NO_ROOM 1

// The recording could not be stored.
#define P2PGATE_CAUSE_NOT_STORED 2

// The recording could not be read.
#define P2PGATE_CAUSE_NOT_READ 3

// The user stopped it.
#define P2PGATE_CAUSE_STOPPED 4

// What arrived is not what was sent.
#define P2PGATE_CAUSE_WRONG_HASH 5

// There is no recording of the name that is wanted: the other end hears P2PGATE_FAILED_NO_SUCH_RECORDING.
#define P2PGATE_CAUSE_NO_SUCH_RECORDING 6

// Bytes to leave free before the payload in a buffer for p2pgate_terminal_seal.
#define P2PGATE_LANE_HEADROOM 42

// Bytes to leave free behind it.
#define P2PGATE_LANE_TAILROOM 16

// What a frame has besides its payload at most, bytes, its length of 4 bytes not counted.
#define P2PGATE_LANE_OVERHEAD 54

// Longest name of a recording, bytes.
#define P2PGATE_MAX_NAME 255

// Longest name of a source's state, bytes.
#define P2PGATE_MAX_SOURCE 32

// Nothing is done with fewer than `need` bytes at the front: read more.
#define P2PGATE_STEP_NEED_MORE 0

// Call again with what is left behind `consumed`.
#define P2PGATE_STEP_PROGRESS 1

// Keep the bytes and stop reading this link; try again after something else went on: an event taken, another link's input or output.
#define P2PGATE_STEP_BLOCKED 2

// `payload` of the bytes given is the recording's from `offset` on, opened in place. Take it, then call again with what is left behind `consumed`.
#define P2PGATE_STEP_PAYLOAD 3

// The link is over; P2PGATE_EVENT_CLOSE says so too.
#define P2PGATE_STEP_CLOSED 4

// `payload` of the bytes given is the identifier of the callee of a deposit of this terminal's, in answer to p2pgate_terminal_list_deposits. Take it, then
// call again with what is left behind `consumed`.
#define P2PGATE_STEP_DEPOSIT 5

// What a function came to: 0 is success, positive is nothing to do, negative is an error. The numbers are frozen.
typedef int32_t p2pgate_result_t;

// A part of a buffer.
typedef struct {
  // Its first byte.
  size_t start;
  // Its length, bytes.
  size_t length;
} p2pgate_range_t;

// A frame in the buffer that was given: write it to its link, whole, before the next frame in the recording's order.
typedef struct {
  // Where it is.
  p2pgate_range_t range;
  // The lane's link.
  uint32_t link;
} p2pgate_frame_t;

// Somebody who has deposited something for this terminal.
typedef struct {
  // Length of `identifier`, bytes, 1 to 128.
  uint32_t identifier_length;
  // UTF-8; behind its length zeros, so NUL-terminated too.
  uint8_t identifier[132];
  // The deposit's number.
  uint8_t deposit[16];
} p2pgate_depositor_t;

// An IP address and port.
typedef struct {
  // 4 or 6; 0 where there is none.
  uint32_t family;
  // The port, in the machine's byte order.
  uint32_t port;
  // IPv6: the scope of a link-local address, else 0.
  uint32_t scope;
  // The address, in network order: 4 bytes and zeros, or 16.
  uint8_t ip[16];
} p2pgate_address_t;

// What the application is told. Each P2PGATE_EVENT_... says which fields it uses; the others are 0.
typedef struct {
  // P2PGATE_EVENT_...; pass over kinds that you don't know.
  uint32_t kind;
  // The connection's number; no number comes twice.
  uint32_t link;
  // The session's number, which may be 0.
  uint32_t session;
  // Why.
  uint32_t cause;
  // 1 or 0.
  uint32_t flag;
  // 0.
  uint32_t reserved;
  // A number: bytes, seconds, or a list's.
  uint64_t number;
  // Where to.
  p2pgate_address_t address;
  // A SHA-256.
  uint8_t hash[32];
  // A deposit's number.
  uint8_t deposit[16];
} p2pgate_event_t;

// What the other end asks for.
typedef struct {
  // Length of `name`, bytes; 0: the list of recordings is wanted, in a form that the applications agree on.
  uint32_t name_length;
  // 0.
  uint32_t reserved;
  // The recording's name: one path component, UTF-8; behind its length zeros, so NUL-terminated too. Not yet checked for what a file system makes of it.
  uint8_t name[256];
} p2pgate_wanted_t;

// A load gate: initialise it where it stays.
typedef struct {
  // Not for the application.
  uint64_t words[P2PGATE_GATE_WORDS];
} p2pgate_gate_t;

// A terminal on the list, as the application gives it.
typedef struct {
  // UTF-8, 1 to 128 bytes.
  const char *identifier;
  // Length of `identifier`, bytes.
  size_t identifier_length;
  // The public key (32 bytes) that it must have, or NULL: first use pins.
  const uint8_t *key;
} p2pgate_entry_t;

// A terminal, as the library tells it.
typedef struct {
  // Length of `identifier`, bytes, 1 to 128.
  uint32_t identifier_length;
  // Its key is known: 1, else 0.
  uint32_t has_key;
  // UTF-8; behind its length zeros, so NUL-terminated too.
  uint8_t identifier[132];
  // Its public key, or zeros.
  uint8_t key[32];
} p2pgate_peer_t;

// Writes a split recording: initialise it where it stays.
typedef struct {
  // Not for the application.
  uint64_t words[P2PGATE_WRITER_WORDS];
} p2pgate_writer_t;

// Puts a split recording together: initialise it where it stays.
typedef struct {
  // Not for the application.
  uint64_t words[P2PGATE_MERGER_WORDS];
} p2pgate_merger_t;

// What a merger wants next.
typedef struct {
  // With P2PGATE_MERGE_COPY: the bytes to copy, all or some; else 0.
  uint64_t length;
  // P2PGATE_MERGE_...
  uint32_t step;
  // P2PGATE_CLASS_...: which file; 0 when done.
  uint32_t class_;
} p2pgate_merge_step_t;

// Seals the frames of one key: initialise it where it stays.
typedef struct {
  // Not for the application.
  uint64_t words[P2PGATE_SFRAME_WORDS];
} p2pgate_sealer_t;

// Opens the frames of one key: initialise it where it stays.
typedef struct {
  // Not for the application.
  uint64_t words[P2PGATE_SFRAME_WORDS];
} p2pgate_opener_t;

// The parts of an opened frame, in the buffer that was given.
typedef struct {
  // The authenticated metadata.
  p2pgate_range_t metadata;
  // The decrypted plaintext; empty in a clear frame.
  p2pgate_range_t plaintext;
} p2pgate_opened_t;

// Computes a SHA-256: initialise it where it stays.
typedef struct {
  // Not for the application.
  uint64_t words[P2PGATE_SHA256_WORDS];
} p2pgate_sha256_t;

// The next bytes of a recording that are of one class.
typedef struct {
  // How many bytes, never 0.
  size_t length;
  // P2PGATE_CLASS_SEALED or P2PGATE_CLASS_REST.
  uint32_t class_;
} p2pgate_span_t;

// What a splitter has seen.
typedef struct {
  // Coded I-pictures; a pair of fields counts as two.
  uint64_t intra;
  // Coded P-pictures.
  uint64_t predicted;
  // Coded B-pictures.
  uint64_t bidirectional;
  // Coded D-pictures of MPEG-1.
  uint64_t dc_only;
  // Bytes given out.
  uint64_t bytes;
  // Of these: of I-pictures.
  uint64_t intra_bytes;
  // Of these: of P-pictures, but for those that complete the frame of an I-field.
  uint64_t predicted_bytes;
  // Of these: of P-fields that complete the frame of an I-field.
  uint64_t second_field_bytes;
  // Of these: of B-pictures.
  uint64_t bidirectional_bytes;
  // Of these: of D-pictures.
  uint64_t dc_only_bytes;
  // Of these: not video.
  uint64_t not_video_bytes;
  // Of these: undecided, so sealed. With P2PGATE_SELECT_INTRA_BLOCKS those of slices without intra-coded macroblocks are in `bytes` alone, and what
  // the pictures have here is the slices that may hold such.
  uint64_t undecided_bytes;
  // P2PGATE_CONTAINER_...
  uint32_t container;
  // P2PGATE_CODEC_...
  uint32_t codec;
  // Bytes from one packet of a transport stream to the next, 188, 192 or 204; else 0.
  uint32_t packet_size;
  // 0.
  uint32_t reserved;
} p2pgate_counts_t;

// What a terminal is made with. Nothing of it is needed after p2pgate_terminal_init.
typedef struct {
  // sizeof(p2pgate_config_t).
  size_t struct_size;
  // What it is called: UTF-8, 1 to 128 bytes.
  const char *identifier;
  // Length of `identifier`, bytes.
  size_t identifier_length;
  // Its secret key, 32 random bytes that were made once and stored: its identity.
  const uint8_t *secret_key;
  // The broker's public key, 32 bytes.
  const uint8_t *broker_key;
  // The largest record that it takes, bytes, 512 to 65535: the input buffer for each control and peer link, less 2.
  uint32_t max_record;
  // The largest frame that it takes, bytes, at least P2PGATE_MIN_FRAME: the input buffer for each lane, less 4.
  uint32_t max_frame;
  // P2PGATE_SUITE_...: how it seals what it sends.
  uint32_t suite;
  // Not 0: its control link takes the broker's questions and callers. One link of a terminal does.
  uint32_t listen;
  // Not 0: callees may be on loopback. Only if the broker is.
  uint32_t allow_loopback;
  // Busy while the load is at or over so many per cent; 0: always, over 100: never by load; up to 255.
  uint32_t load_limit;
  // Free again once the load is so many points below `load_limit`; up to 255.
  uint32_t load_hysteresis;
  // Busy while so many callers' sessions are open; up to 255.
  uint32_t load_sessions;
} p2pgate_config_t;

// What a terminal says of itself.
typedef struct {
  // The list's number: it grows with each change.
  uint64_t revision;
  // The broker has the list as it is now: 1, else 0.
  uint32_t registered;
  // The broker relays, as far as is known: 1, else 0.
  uint32_t relay;
  // This terminal's public key.
  uint8_t public_key[32];
} p2pgate_status_t;

// What a sender offers.
typedef struct {
  // sizeof(p2pgate_offer_t).
  size_t struct_size;
  // The recording's name for people: one path component, UTF-8, at most P2PGATE_MAX_NAME bytes.
  const char *name;
  // Length of `name`, bytes.
  size_t name_length;
  // Names the source's state (say, a digest of path, size and modification time), or NULL.
  const uint8_t *source;
  // Length of `source`: 0, or 8 to P2PGATE_MAX_SOURCE bytes.
  size_t source_length;
  // The recording's length, bytes.
  uint64_t size;
  // The payload bytes of the class sealed, at least what will be sent: the broker decides by it (P9).
  uint64_t sealed_bytes;
  // The payload bytes of the class rest.
  uint64_t rest_bytes;
  // P2PGATE_WAY_... of the class sealed. In a tunnel every way becomes relayed and sealed.
  uint32_t sealed_way;
  // P2PGATE_WAY_... of the class rest.
  uint32_t rest_way;
  // Not 0: the end will carry the recording's SHA-256.
  uint32_t hash;
  // 0.
  uint32_t reserved;
} p2pgate_offer_t;

// What a receiver was offered.
typedef struct {
  // The recording's length, bytes.
  uint64_t size;
  // Length of `name`, bytes.
  uint32_t name_length;
  // Length of `source`, bytes.
  uint32_t source_length;
  // The end will carry the recording's SHA-256: 1, else 0.
  uint32_t hash;
  // It answers p2pgate_terminal_fetch: 1, else 0. A recording then has the name that was asked for.
  uint32_t fetched;
  // As the sender calls it: one path component, UTF-8; behind its length zeros, so NUL-terminated too. Not yet checked for what a file system makes of it.
  uint8_t name[256];
  // Names the source's state; behind its length zeros.
  uint8_t source[P2PGATE_MAX_SOURCE];
} p2pgate_offered_t;

// The bytes of one frame: their place in the recording.
typedef struct {
  // The segment's number, from 0.
  uint64_t segment;
  // The first byte's place in the recording.
  uint64_t offset;
  // How many bytes: 1 to p2pgate_terminal_max_payload.
  size_t length;
  // P2PGATE_CLASS_...: the segment's class.
  uint32_t class_;
} p2pgate_piece_t;

// How far p2pgate_terminal_handle_input got.
typedef struct {
  // P2PGATE_STEP_...
  uint32_t step;
  // With P2PGATE_STEP_PAYLOAD: the session; else 0.
  uint32_t session;
  // With P2PGATE_STEP_PAYLOAD: its first byte's place in the recording; with P2PGATE_STEP_DEPOSIT: the bytes of it that the broker keeps; else 0.
  uint64_t offset;
  // So many bytes at the front are done with.
  size_t consumed;
  // With P2PGATE_STEP_NEED_MORE: the bytes that are needed, never more than the link's largest record or frame with its length; else 0.
  size_t need;
  // With P2PGATE_STEP_PAYLOAD and P2PGATE_STEP_DEPOSIT: where in the bytes given it is; else zeros.
  p2pgate_range_t payload;
  // With P2PGATE_STEP_DEPOSIT: the recording's length; else 0.
  uint64_t size;
  // With P2PGATE_STEP_DEPOSIT: its number; else zeros.
  uint8_t deposit[16];
} p2pgate_input_t;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// The version of the library that is linked: major * 65536 + minor * 256 + patch.
uint32_t p2pgate_version(void);

// The binary interface of the library that is linked; compare it with P2PGATE_ABI_VERSION.
uint32_t p2pgate_abi_version(void);

// After P2PGATE_EVENT_DEPOSIT_OFFERED: has the broker keep a recording of `size` bytes for the callee (the yes to M19); P2PGATE_EVENT_READY says where to
// begin. All of it is of the class sealed. `source`, 8 to P2PGATE_MAX_SOURCE bytes, names the source's state, so that a deposit of the same that was broken
// off goes on; its length may be 0. `hash` other than 0: the end will carry the recording's SHA-256.
//
// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT, P2PGATE_E_ARGUMENT, P2PGATE_E_SOURCE, P2PGATE_E_OUT_OF_TURN.
p2pgate_result_t p2pgate_terminal_deposit(uint64_t *terminal,
                                          uint32_t session,
                                          uint64_t size,
                                          const uint8_t *source,
                                          size_t source_length,
                                          uint32_t hash,
                                          uint64_t now);

// After P2PGATE_EVENT_DEPOSIT_OFFERED: the no to M19; P2PGATE_EVENT_DENIED follows.
//
// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT, P2PGATE_E_OUT_OF_TURN.
p2pgate_result_t p2pgate_terminal_decline_deposit(uint64_t *terminal, uint32_t session, uint64_t now);

// Where p2pgate_terminal_seal or p2pgate_terminal_seal_end said P2PGATE_E_PART_DUE: writes the next part's header to `buffer`, which has room for
// P2PGATE_MAX_PART_HEADER bytes; `frame` as of p2pgate_terminal_seal. `name` is the recording's, for people: one path component of at most
// P2PGATE_MAX_NAME bytes, the same for each part.
//
// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT, P2PGATE_E_ARGUMENT, P2PGATE_E_TEXT, P2PGATE_E_NO_LANE, P2PGATE_E_NAME,
// P2PGATE_E_BUFFER, P2PGATE_E_TOO_LONG, P2PGATE_E_NOT_YET.
p2pgate_result_t p2pgate_terminal_seal_part(uint64_t *terminal,
                                            uint32_t session,
                                            const char *name,
                                            size_t name_length,
                                            uint8_t *buffer,
                                            size_t length,
                                            uint64_t now,
                                            p2pgate_frame_t *frame);

// Who has deposited something that this terminal hasn't collected yet (P11), by a number from 0: one deposit of each caller; P2PGATE_NOTHING: there are no
// more. Numbers hold until the next call that changes something.
//
// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT.
p2pgate_result_t p2pgate_terminal_depositor(const uint64_t *terminal,
                                            size_t index,
                                            p2pgate_depositor_t *depositor);

// Asks the broker for this terminal's deposits: P2PGATE_STEP_DEPOSIT for each, then P2PGATE_EVENT_DEPOSITS_LISTED; P2PGATE_EVENT_OFFLINE ends it.
//
// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT, P2PGATE_E_OFFLINE, P2PGATE_E_BUSY (the last answer has not come).
p2pgate_result_t p2pgate_terminal_list_deposits(uint64_t *terminal);

// Takes back a deposit (16 bytes) of this terminal's, or declines for good one that was made for it: P2PGATE_EVENT_DEPOSIT_WITHDRAWN follows, or
// P2PGATE_EVENT_OFFLINE.
//
// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT, P2PGATE_E_OFFLINE, P2PGATE_E_BUSY (the last answer has not come).
p2pgate_result_t p2pgate_terminal_withdraw_deposit(uint64_t *terminal,
                                                   const uint8_t *deposit);

// Tries again at once what could not be collected or was refused, instead of after the next connection to the broker.
//
// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT.
p2pgate_result_t p2pgate_terminal_collect_again(uint64_t *terminal);

// The next event. Take them after every other call, until there are none: P2PGATE_NOTHING.
//
// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT.
p2pgate_result_t p2pgate_terminal_poll_event(uint64_t *terminal, p2pgate_event_t *event);

// Whether other terminals may ask this one for recordings (P2PGATE_EVENT_WANTED): `share` other than 0. At first they may not: they are refused.
//
// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT.
p2pgate_result_t p2pgate_terminal_share(uint64_t *terminal,
                                        uint32_t share);

// Asks the other end for a recording of this name, or, with the length 0, for the list of its recordings. Either end may, once P2PGATE_EVENT_CONNECTED
// came; P2PGATE_EVENT_OFFERED follows, or P2PGATE_EVENT_TRANSFER_FAILED.
//
// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT, P2PGATE_E_ARGUMENT, P2PGATE_E_TEXT, P2PGATE_E_NOT_OPEN, P2PGATE_E_BUSY, P2PGATE_E_NAME.
p2pgate_result_t p2pgate_terminal_fetch(uint64_t *terminal,
                                        uint32_t session,
                                        const char *name,
                                        size_t name_length,
                                        uint64_t now);

// What the other end asks for, after P2PGATE_EVENT_WANTED: answer with p2pgate_terminal_offer (under the name that is wanted; the list: any) or
// p2pgate_terminal_refuse. P2PGATE_NOTHING: nothing, or there is no such session.
//
// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT.
p2pgate_result_t p2pgate_terminal_wanted(const uint64_t *terminal,
                                         uint32_t session,
                                         p2pgate_wanted_t *wanted);

// Makes a gate that is busy while the load is at or over `limit` per cent (0: always; over 100: never by load) until it has fallen `hysteresis` points
// below, and while `sessions` sessions or more are open. All up to 255.
//
// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_ARGUMENT.
p2pgate_result_t p2pgate_gate_init(p2pgate_gate_t *gate,
                                   uint32_t limit,
                                   uint32_t hysteresis,
                                   uint32_t sessions);

// Takes the newest load figure, in per cent; over 100 counts as 100.
//
// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT.
p2pgate_result_t p2pgate_gate_set_load(p2pgate_gate_t *gate, uint32_t percent);

// Writes 1 to `free` if one more session is taken while `open` are there, else 0.
//
// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT.
p2pgate_result_t p2pgate_gate_is_free(const p2pgate_gate_t *gate, size_t open, uint32_t *free);

// Ends the gate and wipes its storage.
//
// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT.
p2pgate_result_t p2pgate_gate_deinit(p2pgate_gate_t *gate);

// Computes the public key (32 bytes) of a secret key (32 random bytes).
//
// Errors: P2PGATE_E_NULL.
p2pgate_result_t p2pgate_public_key(const uint8_t *secret_key, uint8_t *public_key);

// Writes the text form of a public key (32 bytes): P2PGATE_FINGERPRINT_LENGTH characters without NUL.
//
// Errors: P2PGATE_E_NULL.
p2pgate_result_t p2pgate_fingerprint(const uint8_t *public_key, char *fingerprint);

// Reads the text form of a public key and writes its 32 bytes.
//
// Errors: P2PGATE_E_NULL, P2PGATE_E_TEXT, P2PGATE_E_KEY.
p2pgate_result_t p2pgate_parse_fingerprint(const char *fingerprint, size_t length, uint8_t *public_key);

// Makes `entries` the list of permitted terminals: these and no others (M1). An event P2PGATE_EVENT_PERSIST follows; sessions of callers that are not on it
// end.
//
// Errors, with the list as it was: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT, P2PGATE_E_ARGUMENT, P2PGATE_E_TEXT, P2PGATE_E_IDENTIFIER,
// P2PGATE_E_LIST_FULL.
p2pgate_result_t p2pgate_terminal_permit_create(uint64_t *terminal,
                                                const p2pgate_entry_t *entries,
                                                size_t count);

// Puts `add` on the list of permitted terminals, then strikes `remove` off it (M2, M3, M4); of `remove` the identifiers count. An event
// P2PGATE_EVENT_PERSIST follows; sessions of callers that were struck off end.
//
// Errors: as p2pgate_terminal_permit_create.
p2pgate_result_t p2pgate_terminal_permit(uint64_t *terminal,
                                         const p2pgate_entry_t *add,
                                         size_t add_count,
                                         const p2pgate_entry_t *remove,
                                         size_t remove_count);

// Tells the broker who is in a group of this terminal's (V4): puts `add` into it, then takes `remove` out; `replace` other than 0: `add` becomes the group, and
// without anybody in `add` the group ends. `group` is this terminal's identifier, `/` and a name; of the entries the identifiers count. Writes to `buffer` and
// gives in `frame` what to write to which link, whole, before what p2pgate_terminal_poll_transmit gives for that link next. P2PGATE_EVENT_GROUP_ANSWERED
// follows, or P2PGATE_EVENT_OFFLINE. Nothing of it is stored here.
//
// Errors, with nothing said: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT, P2PGATE_E_ARGUMENT (also: nobody to add or remove), P2PGATE_E_TEXT,
// P2PGATE_E_IDENTIFIER, P2PGATE_E_OFFLINE, P2PGATE_E_BUSY (the last answer has not come), P2PGATE_E_BUFFER, P2PGATE_E_TEXT_TOO_LONG.
p2pgate_result_t p2pgate_terminal_group(uint64_t *terminal,
                                        const char *group,
                                        size_t group_length,
                                        uint32_t replace,
                                        const p2pgate_entry_t *add,
                                        size_t add_count,
                                        const p2pgate_entry_t *remove,
                                        size_t remove_count,
                                        uint8_t *buffer,
                                        size_t length,
                                        p2pgate_frame_t *frame);

// Tells a domain name (UTF-8, `name_length` bytes) and a port that stand in for this terminal's address (V3), instead of p2pgate_terminal_listen_at: the broker
// looks it up when a caller wants it. Writes to `buffer` and gives in `frame` what to write to which link, as p2pgate_terminal_group does;
// P2PGATE_EVENT_ADDRESS_KNOWN follows. Nothing of it is stored here: say it again after each P2PGATE_EVENT_ONLINE.
//
// Errors, with nothing said: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT, P2PGATE_E_ARGUMENT, P2PGATE_E_TEXT, P2PGATE_E_NAME (it is none),
// P2PGATE_E_OFFLINE, P2PGATE_E_BUFFER, P2PGATE_E_TEXT_TOO_LONG.
p2pgate_result_t p2pgate_terminal_announce(uint64_t *terminal,
                                           const char *name,
                                           size_t name_length,
                                           uint16_t port,
                                           uint8_t *buffer,
                                           size_t length,
                                           p2pgate_frame_t *frame);

// The terminal on the list with this number, from 0; P2PGATE_NOTHING: there are no more. Numbers hold until the next call that changes something.
//
// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT.
p2pgate_result_t p2pgate_terminal_permitted(const uint64_t *terminal,
                                            size_t index,
                                            p2pgate_peer_t *peer);

// Writes 1 to `admitted` if the list and the pins, as they are now, allow a session that this terminal is the callee or the collector of, by the caller's own
// entry or that of the group by which it came; else, and if there is no such session, 0. For those who restore a list that another program has stored while
// there are sessions: close those that are not; p2pgate_terminal_permit ends by itself what must end.
//
// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT.
p2pgate_result_t p2pgate_terminal_is_admitted(uint64_t *terminal,
                                              uint32_t session,
                                              uint32_t *admitted);

// Makes a writer for one recording.
//
// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE.
p2pgate_result_t p2pgate_writer_init(p2pgate_writer_t *writer);

// What the file of a class begins with: written to `out`, its length to `length`. `out` has P2PGATE_SEGMENT_BUFFER bytes of room.
//
// Errors: P2PGATE_E_NULL, P2PGATE_E_ARGUMENT, P2PGATE_E_BUFFER.
p2pgate_result_t p2pgate_writer_header(uint32_t class_,
                                       uint8_t *out,
                                       size_t room,
                                       size_t *length);

// What goes before `data`, the recording's next bytes, in the file of their class. Write it there, then `data` themselves.
// `out` has P2PGATE_SEGMENT_BUFFER bytes of room. For no data there is no record: P2PGATE_NOTHING.
//
// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT, P2PGATE_E_ARGUMENT, P2PGATE_E_BUFFER.
p2pgate_result_t p2pgate_writer_record(p2pgate_writer_t *writer,
                                       uint32_t class_,
                                       const uint8_t *data,
                                       size_t data_length,
                                       uint8_t *out,
                                       size_t room,
                                       size_t *length);

// What both files end with. The writer goes on as if it had not been asked; end it by p2pgate_writer_deinit.
// `out` has P2PGATE_SEGMENT_BUFFER bytes of room.
//
// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT, P2PGATE_E_BUFFER.
p2pgate_result_t p2pgate_writer_finish(p2pgate_writer_t *writer, uint8_t *out, size_t room, size_t *length);

// Ends the writer and wipes its storage.
//
// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT.
p2pgate_result_t p2pgate_writer_deinit(p2pgate_writer_t *writer);

// Makes a merger for one recording.
//
// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE.
p2pgate_result_t p2pgate_merger_init(p2pgate_merger_t *merger);

// What to do next. After an error of the files what was written so far is worth nothing.
//
// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT, P2PGATE_E_CORRUPT, P2PGATE_E_WRONG_PAIR.
p2pgate_result_t p2pgate_merger_step(p2pgate_merger_t *merger, p2pgate_merge_step_t *step);

// Takes bytes of a class's file that P2PGATE_MERGE_READ asked for, and writes to `taken` how many; the others are left for the next step.
// Length 0 says that the file has ended.
//
// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT, P2PGATE_E_ARGUMENT, P2PGATE_E_NOT_A_PART, P2PGATE_E_WRONG_CLASS,
// P2PGATE_E_TRUNCATED, P2PGATE_E_CORRUPT.
p2pgate_result_t p2pgate_merger_read(p2pgate_merger_t *merger,
                                     uint32_t class_,
                                     const uint8_t *data,
                                     size_t length,
                                     size_t *taken);

// The next bytes of a class's file have been copied to the recording, as P2PGATE_MERGE_COPY said. Length 0 says that the file has ended.
//
// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT, P2PGATE_E_ARGUMENT, P2PGATE_E_TRUNCATED, P2PGATE_E_CORRUPT.
p2pgate_result_t p2pgate_merger_copied(p2pgate_merger_t *merger,
                                       uint32_t class_,
                                       const uint8_t *data,
                                       size_t length);

// Ends the merger and wipes its storage.
//
// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT.
p2pgate_result_t p2pgate_merger_deinit(p2pgate_merger_t *merger);

// A result in words, for people: English, NUL-terminated, static; never NULL.
const char *p2pgate_strerror(p2pgate_result_t result);

// Derives the secrets of key `kid` for `suite` from `base_key`, which must be secret, hard to guess and fresh: two sealers with the same suite, `kid` and
// base key break both suites.
//
// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_ARGUMENT.
p2pgate_result_t p2pgate_sealer_init(p2pgate_sealer_t *sealer,
                                     uint32_t suite,
                                     uint64_t kid,
                                     const uint8_t *base_key,
                                     size_t base_key_length);

// Seals one frame in place; its part of `buffer` goes to `frame`.
//
// `buffer` is P2PGATE_SFRAME_HEADROOM bytes, `metadata_length` bytes that are authenticated, `plaintext_length` bytes that are encrypted, and at least
// P2PGATE_SFRAME_TAILROOM bytes. For a clear frame all is metadata. On an error the buffer is as it was and no counter is used.
//
// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT, P2PGATE_E_ARGUMENT, P2PGATE_E_BUFFER, P2PGATE_E_TOO_LONG, P2PGATE_E_EXHAUSTED.
p2pgate_result_t p2pgate_sealer_seal(p2pgate_sealer_t *sealer,
                                     uint8_t *buffer,
                                     size_t length,
                                     size_t metadata_length,
                                     size_t plaintext_length,
                                     p2pgate_range_t *frame);

// Ends the sealer and wipes its storage.
//
// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT.
p2pgate_result_t p2pgate_sealer_deinit(p2pgate_sealer_t *sealer);

// As p2pgate_sealer_init, for the other end.
//
// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_ARGUMENT.
p2pgate_result_t p2pgate_opener_init(p2pgate_opener_t *opener,
                                     uint32_t suite,
                                     uint64_t kid,
                                     const uint8_t *base_key,
                                     size_t base_key_length);

// Opens one whole frame in place. `metadata_length` is what it was sealed with, or P2PGATE_ALL_BUT_TAG. Each frame is taken once, in order.
// On an error the frame and the counter awaited are as they were.
//
// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT, P2PGATE_E_ARGUMENT, P2PGATE_E_FRAME, P2PGATE_E_WRONG_KEY, P2PGATE_E_WRONG_COUNTER,
// P2PGATE_E_TRUNCATED, P2PGATE_E_TOO_LONG, P2PGATE_E_NOT_AUTHENTIC.
p2pgate_result_t p2pgate_opener_open(p2pgate_opener_t *opener,
                                     uint8_t *frame,
                                     size_t length,
                                     uint32_t metadata_length,
                                     p2pgate_opened_t *opened);

// Ends the opener and wipes its storage.
//
// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT.
p2pgate_result_t p2pgate_opener_deinit(p2pgate_opener_t *opener);

// Begins a SHA-256 over nothing.
//
// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE.
p2pgate_result_t p2pgate_sha256_init(p2pgate_sha256_t *sha256);

// Goes on with `length` bytes.
//
// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT, P2PGATE_E_ARGUMENT.
p2pgate_result_t p2pgate_sha256_update(p2pgate_sha256_t *sha256, const uint8_t *data, size_t length);

// Writes the SHA-256 (32 bytes) of all bytes so far. It may go on afterwards; end it by p2pgate_sha256_deinit.
//
// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT.
p2pgate_result_t p2pgate_sha256_finish(const p2pgate_sha256_t *sha256, uint8_t *hash);

// Ends the SHA-256 and wipes its storage.
//
// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT.
p2pgate_result_t p2pgate_sha256_deinit(p2pgate_sha256_t *sha256);

// Makes a splitter for one recording of `storage`, `words` words that stay where they are until p2pgate_splitter_deinit: P2PGATE_SPLITTER_BLOCKS_WORDS,
// P2PGATE_SPLITTER_NAL_WORDS if the library is without the feature `blocks`, P2PGATE_SPLITTER_WORDS if it is without H.264 and HEVC too; with fewer than it needs it says P2PGATE_E_STORAGE. `selection` is P2PGATE_SELECT_...; with `seal_rest` other than 0 what isn't video is sealed too.
//
// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_ARGUMENT.
p2pgate_result_t p2pgate_splitter_init(uint64_t *storage,
                                       size_t words,
                                       uint32_t selection,
                                       uint32_t seal_rest);

// The next span of the recording, with which `window` begins.
//
// `window` is the recording from the end of the last span on, as far as it is there; `last` other than 0 says that it goes up to the recording's end.
// Between two calls drop the span from the window's front and add bytes behind, nothing else. P2PGATE_NOTHING: more bytes are needed, which never
// happens with P2PGATE_SPLITTER_WINDOW bytes (P2PGATE_SPLITTER_BLOCKS_WINDOW with P2PGATE_SELECT_INTRA_BLOCKS), or with `last` and any at all. Spans that follow each other may be of the same class.
//
// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT, P2PGATE_E_ARGUMENT.
p2pgate_result_t p2pgate_splitter_next(uint64_t *splitter,
                                       const uint8_t *window,
                                       size_t length,
                                       uint32_t last,
                                       p2pgate_span_t *span);

// Pictures and bytes so far, and what the recording was recognised as.
//
// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT.
p2pgate_result_t p2pgate_splitter_counts(const uint64_t *splitter, p2pgate_counts_t *counts);

// Ends the splitter and wipes its storage.
//
// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT.
p2pgate_result_t p2pgate_splitter_deinit(uint64_t *splitter);

// Makes a terminal of `storage`, P2PGATE_TERMINAL_WORDS(sessions, peers) words aligned to 8 bytes that stay where they are until p2pgate_terminal_deinit.
//
// `sessions` (1 to 255) is how many sessions there can be at once, `peers` (up to 65535) how many terminals it can know: those on its list and those that
// it called. `seed` is the 32 bytes that were stored last (at first: 32 random bytes), `entropy` 32 fresh bytes from the best source there is; `new_seed`
// gets 32 bytes to store in place of `seed` before anything else is called. `words` is the number of words that `storage` has. A terminal that lives there
// already must be deinitialised before; what is there is overwritten.
//
// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_STRUCT_SIZE, P2PGATE_E_ARGUMENT, P2PGATE_E_TEXT, P2PGATE_E_IDENTIFIER.
p2pgate_result_t p2pgate_terminal_init(uint64_t *storage,
                                       size_t words,
                                       size_t sessions,
                                       size_t peers,
                                       const p2pgate_config_t *config,
                                       const uint8_t *seed,
                                       const uint8_t *entropy,
                                       uint8_t *new_seed);

// Ends the terminal and wipes its storage. Close its connections yourself.
//
// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT.
p2pgate_result_t p2pgate_terminal_deinit(uint64_t *terminal);

// Mixes in fresh entropy, 32 bytes, at any time.
//
// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT.
p2pgate_result_t p2pgate_terminal_add_entropy(uint64_t *terminal, const uint8_t *entropy);

// Takes over what p2pgate_terminal_blob gave before a reset, before p2pgate_terminal_connect. After an error the list is empty: don't go on without a
// person's word.
//
// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT, P2PGATE_E_ARGUMENT, P2PGATE_E_BLOB_VERSION, P2PGATE_E_BLOB_ENTRIES,
// P2PGATE_E_BLOB_DAMAGED.
p2pgate_result_t p2pgate_terminal_restore(uint64_t *terminal,
                                          const uint8_t *blob,
                                          size_t length);

// Takes over the keys that blob, another of p2pgate_terminal_blob's, has for terminals without one here; the list stays as it is. For several programs
// of one device that share what is stored: restore what another has stored, then adopt one's own, so that no first-use pin is lost.
//
// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT, P2PGATE_E_ARGUMENT, P2PGATE_E_BLOB_VERSION, P2PGATE_E_BLOB_ENTRIES,
// P2PGATE_E_BLOB_DAMAGED.
p2pgate_result_t p2pgate_terminal_adopt_pins(uint64_t *terminal,
                                             const uint8_t *blob,
                                             size_t length);

// Writes the list, the pins and the list's number to `blob`, and its length to `length`; `room` is P2PGATE_BLOB_LENGTH(peers) bytes.
//
// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT, P2PGATE_E_ARGUMENT, P2PGATE_E_BUFFER.
p2pgate_result_t p2pgate_terminal_blob(uint64_t *terminal,
                                       uint8_t *blob,
                                       size_t room,
                                       size_t *length);

// What p2pgate_terminal_blob gave last outlasts a reset now. Only then is a changed list registered.
//
// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT.
p2pgate_result_t p2pgate_terminal_persisted(uint64_t *terminal);

// Opens the control link: an event P2PGATE_EVENT_CONNECT follows. Once lost it is tried again by itself.
//
// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT.
p2pgate_result_t p2pgate_terminal_connect(uint64_t *terminal, uint64_t now);

// Enrols this terminal's key with the next connection, by the one-time ticket that the broker's operator printed, at most 64 bytes (V5).
//
// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT, P2PGATE_E_ARGUMENT, P2PGATE_E_TEXT, P2PGATE_E_TICKET.
p2pgate_result_t p2pgate_terminal_enrol(uint64_t *terminal,
                                        const char *ticket,
                                        size_t length);

// Tells where callers reach this terminal (M23, V8): up to four addresses; an address of zeros stands for the one that the control link comes from. Port 0:
// only through a tunnel. No address: callers are told that there is none.
//
// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT, P2PGATE_E_ARGUMENT, P2PGATE_E_ADDRESSES.
p2pgate_result_t p2pgate_terminal_listen_at(uint64_t *terminal,
                                            const p2pgate_address_t *addresses,
                                            size_t count);

// The device's load, in per cent; over 100 counts as 100 (P6).
//
// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT.
p2pgate_result_t p2pgate_terminal_set_load(uint64_t *terminal, uint32_t percent);

// What this terminal says of itself.
//
// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT.
p2pgate_result_t p2pgate_terminal_status(const uint64_t *terminal, p2pgate_status_t *status);

// Overwrites `length` bytes with zeros, in a way that no compiler leaves out: for keys and tickets that are not needed any more.
//
// Errors: P2PGATE_E_NULL, P2PGATE_E_ARGUMENT.
p2pgate_result_t p2pgate_wipe(uint8_t *data,
                              size_t length);

// Decides the ways of a recording of `size` bytes (P8). `attribute` is P2PGATE_ATTRIBUTE_...; `relay_below` bytes is the limit of
// P2PGATE_ATTRIBUTE_BY_SIZE; `relay` other than 0: the broker relays, see P2PGATE_EVENT_ONLINE.
//
// Errors: P2PGATE_E_NULL, P2PGATE_E_ARGUMENT.
p2pgate_result_t p2pgate_decide_route(uint32_t attribute,
                                      uint64_t size,
                                      uint64_t relay_below,
                                      uint32_t relay,
                                      uint32_t *sealed_way,
                                      uint32_t *rest_way);

// Asks the broker for a callee (M6), and connects to it if it may; `session` gets the session's number, which may be 0.
//
// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT, P2PGATE_E_ARGUMENT, P2PGATE_E_TEXT, P2PGATE_E_IDENTIFIER, P2PGATE_E_ONESELF,
// P2PGATE_E_OFFLINE, P2PGATE_E_NO_SESSION, P2PGATE_E_PEERS_FULL.
p2pgate_result_t p2pgate_terminal_call(uint64_t *terminal,
                                       const char *callee,
                                       size_t callee_length,
                                       uint64_t now,
                                       uint32_t *session);

// The other terminal of a session, and its key once the peer link is up or announced; P2PGATE_NOTHING: there is no such session.
//
// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT.
p2pgate_result_t p2pgate_terminal_peer(const uint64_t *terminal,
                                       uint32_t session,
                                       p2pgate_peer_t *peer);

// Offers a recording to the other end (M17). Either end may, once P2PGATE_EVENT_CONNECTED came. After P2PGATE_EVENT_WANTED it is the answer to that.
//
// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT, P2PGATE_E_STRUCT_SIZE, P2PGATE_E_ARGUMENT, P2PGATE_E_TEXT, P2PGATE_E_NOT_OPEN,
// P2PGATE_E_BUSY, P2PGATE_E_NAME, P2PGATE_E_SOURCE, P2PGATE_E_NO_LANE.
p2pgate_result_t p2pgate_terminal_offer(uint64_t *terminal,
                                        uint32_t session,
                                        const p2pgate_offer_t *offer,
                                        uint64_t now);

// What the other end offers, after P2PGATE_EVENT_OFFERED; P2PGATE_NOTHING: nothing, or there is no such session.
//
// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT.
p2pgate_result_t p2pgate_terminal_offered(const uint64_t *terminal, uint32_t session, p2pgate_offered_t *offered);

// Takes what is offered, from byte `offset` on (M18): 0, or what the application already has of it.
//
// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT, P2PGATE_E_OUT_OF_TURN (also if `offset` is over the recording's length).
p2pgate_result_t p2pgate_terminal_accept(uint64_t *terminal,
                                         uint32_t session,
                                         uint64_t offset,
                                         uint64_t now);

// Refuses what is offered or wanted (M18); `cause` is P2PGATE_CAUSE_..., for the other end's people.
//
// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT, P2PGATE_E_ARGUMENT, P2PGATE_E_OUT_OF_TURN.
p2pgate_result_t p2pgate_terminal_refuse(uint64_t *terminal, uint32_t session, uint32_t cause, uint64_t now);

// After P2PGATE_EVENT_ARRIVED: the recording is stored where it lasts. The sender is told.
//
// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT, P2PGATE_E_OUT_OF_TURN.
p2pgate_result_t p2pgate_terminal_stored(uint64_t *terminal, uint32_t session, uint64_t now);

// After P2PGATE_EVENT_ARRIVED: the recording could not be stored; `cause` is P2PGATE_CAUSE_..., for the sender's people.
//
// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT, P2PGATE_E_ARGUMENT, P2PGATE_E_OUT_OF_TURN.
p2pgate_result_t p2pgate_terminal_not_stored(uint64_t *terminal,
                                             uint32_t session,
                                             uint32_t cause,
                                             uint64_t now);

// Gives up a session's transfer; the session stays. `cause` is P2PGATE_CAUSE_..., for the other end's people.
//
// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT, P2PGATE_E_ARGUMENT, P2PGATE_E_OUT_OF_TURN.
p2pgate_result_t p2pgate_terminal_abandon(uint64_t *terminal, uint32_t session, uint32_t cause, uint64_t now);

// Ends a session at once: what p2pgate_terminal_poll_transmit has not given yet is not sent. Sessions that are unknown have ended already.
//
// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT.
p2pgate_result_t p2pgate_terminal_close(uint64_t *terminal,
                                        uint32_t session);

// The most payload bytes of one frame in this session's transfer, after P2PGATE_EVENT_READY; P2PGATE_NOTHING: there is none.
//
// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT.
p2pgate_result_t p2pgate_terminal_max_payload(uint64_t *terminal,
                                              uint32_t session,
                                              size_t *most);

// Makes the frame of a piece of the recording, in place. `buffer` is P2PGATE_LANE_HEADROOM bytes, the piece's bytes, and P2PGATE_LANE_TAILROOM bytes;
// `length` is all of them. `frame` gets the part of `buffer` to write, and the link to write it to.
//
// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT, P2PGATE_E_ARGUMENT, P2PGATE_E_NO_LANE, P2PGATE_E_PAYLOAD, P2PGATE_E_BUFFER,
// P2PGATE_E_TOO_LONG; in a deposit also P2PGATE_E_PART_DUE and P2PGATE_E_GAP.
p2pgate_result_t p2pgate_terminal_seal(uint64_t *terminal,
                                       uint32_t session,
                                       const p2pgate_piece_t *piece,
                                       uint8_t *buffer,
                                       size_t length,
                                       uint64_t now,
                                       p2pgate_frame_t *frame);

// Makes the end frame of a class's lane: once for each class that has one, after all else. `segments` is the number of segments; `hash` the recording's
// SHA-256 (32 bytes) if it was offered, else NULL. `buffer` has P2PGATE_LANE_HEADROOM + 32 + P2PGATE_LANE_TAILROOM bytes.
//
// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT, P2PGATE_E_ARGUMENT, P2PGATE_E_NO_LANE, P2PGATE_E_BUFFER; in a deposit also
// P2PGATE_E_PART_DUE and P2PGATE_E_GAP.
p2pgate_result_t p2pgate_terminal_seal_end(uint64_t *terminal,
                                           uint32_t session,
                                           uint32_t class_,
                                           uint64_t segments,
                                           const uint8_t *hash,
                                           uint8_t *buffer,
                                           size_t length,
                                           uint64_t now,
                                           p2pgate_frame_t *frame);

// A connection came in: `link` gets its number. On an error close it.
//
// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT, P2PGATE_E_INCOMING_FULL.
p2pgate_result_t p2pgate_terminal_accepted(uint64_t *terminal, uint64_t now, uint32_t *link);

// The connection that P2PGATE_EVENT_CONNECT asked for is there. Unknown links are passed over.
//
// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT.
p2pgate_result_t p2pgate_terminal_link_opened(uint64_t *terminal, uint32_t link, uint64_t now);

// A connection could not be opened, or has ended and everything that it brought has been handed in. Unknown links are passed over.
//
// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT.
p2pgate_result_t p2pgate_terminal_link_closed(uint64_t *terminal,
                                              uint32_t link,
                                              uint64_t now);

// Takes what arrived on a link, opening it in place: `bytes` change. `input` says what follows. A link that is unknown is over.
//
// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT, P2PGATE_E_ARGUMENT.
p2pgate_result_t p2pgate_terminal_handle_input(uint64_t *terminal,
                                               uint32_t link,
                                               uint8_t *bytes,
                                               size_t length,
                                               uint64_t now,
                                               p2pgate_input_t *input);

// Writes the next bytes for a link to `bytes`, and to `length` how many; P2PGATE_NOTHING: none for now. Call it until then, for every open link, after any
// other call. P2PGATE_TRANSMIT_LENGTH(peers) bytes of room are always enough, 1200 for everything but a long list. On an error nothing is lost.
//
// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT, P2PGATE_E_ARGUMENT, P2PGATE_E_BUFFER, P2PGATE_E_TEXT_TOO_LONG, P2PGATE_E_LINK_CLOSED.
p2pgate_result_t p2pgate_terminal_poll_transmit(uint64_t *terminal,
                                                uint32_t link,
                                                uint8_t *bytes,
                                                size_t room,
                                                uint64_t now,
                                                size_t *length);

// When p2pgate_terminal_handle_timeout is to be called next, if nothing else is called before; P2PGATE_NOTHING: never.
//
// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT.
p2pgate_result_t p2pgate_terminal_poll_timeout(uint64_t *terminal, uint64_t *deadline);

// Time has passed.
//
// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT.
p2pgate_result_t p2pgate_terminal_handle_timeout(uint64_t *terminal, uint64_t now);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* P2PGATE_H */

// Words (uint64_t) of storage for a terminal with so many places for sessions at once and for terminals that it knows; for every target.
#define P2PGATE_TERMINAL_WORDS(sessions, peers) \
    (P2PGATE_CORE_WORDS + (size_t)(sessions) * P2PGATE_SESSION_WORDS + (size_t)(peers) * P2PGATE_PEER_WORDS)

// Bytes of room for p2pgate_terminal_blob.
#define P2PGATE_BLOB_LENGTH(peers) (25 + (size_t)(peers) * 178)

// Bytes of room that are always enough for p2pgate_terminal_poll_transmit.
#define P2PGATE_TRANSMIT_LENGTH(peers) (1200 + (size_t)(peers) * 130)

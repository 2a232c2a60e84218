/*
 * p2pgate.h for C++17: objects that end themselves and can be neither copied nor moved, and texts with their lengths. No exceptions, no heap, no RTTI;
 * everything else is p2pgate.h's own functions on what get() gives.
 *
 *     p2pgate::terminal<1, 16> terminal;                       // one session at a time, 16 terminals known
 *
 *     bool start(p2pgate_config_t config, const std::uint8_t (&seed)[32], const std::uint8_t (&entropy)[32])
 *     {
 *         std::uint8_t new_seed[32];
 *         p2pgate::set_identifier(config, "living-room");
 *         return terminal.init(config, seed, entropy, new_seed) == P2PGATE_OK && store_seed(new_seed);
 *     }
 */
#ifndef P2PGATE_HPP
#define P2PGATE_HPP

#include "p2pgate.h"

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace p2pgate {

// One of p2pgate.h's objects that stays where it is: initialise it by its C function on get(). Its end wipes it; that of one never initialised does nothing.
template <typename Object, p2pgate_result_t (*deinit)(Object *)>
class object {
public:
    object() = default;
    object(const object &) = delete;
    object &operator=(const object &) = delete;
    ~object() { deinit(&object_); }

    Object *get() { return &object_; }
    const Object *get() const { return &object_; }

private:
    Object object_{};
};

using gate = object<p2pgate_gate_t, p2pgate_gate_deinit>;
using merger = object<p2pgate_merger_t, p2pgate_merger_deinit>;
using opener = object<p2pgate_opener_t, p2pgate_opener_deinit>;
using sealer = object<p2pgate_sealer_t, p2pgate_sealer_deinit>;
using sha256 = object<p2pgate_sha256_t, p2pgate_sha256_deinit>;
using writer = object<p2pgate_writer_t, p2pgate_writer_deinit>;

// A splitter with `words` words, P2PGATE_SPLITTER_WORDS if the library is without H.264 and HEVC.
template <std::size_t words = P2PGATE_SPLITTER_NAL_WORDS>
class splitter {
public:
    splitter() = default;
    splitter(const splitter &) = delete;
    splitter &operator=(const splitter &) = delete;
    ~splitter() { p2pgate_splitter_deinit(words_); }

    // As p2pgate_splitter_init. One that is there already ends.
    p2pgate_result_t init(std::uint32_t selection, bool seal_rest)
    {
        p2pgate_splitter_deinit(words_);
        return p2pgate_splitter_init(words_, words, selection, seal_rest);
    }

    // For p2pgate.h's functions.
    std::uint64_t *get() { return words_; }
    const std::uint64_t *get() const { return words_; }

private:
    std::uint64_t words_[words]{};
};

// A terminal with so many places for sessions at once and for terminals that it knows, in itself: declare it static, or where there is room for it.
template <std::size_t sessions, std::size_t peers>
class terminal {
public:
    // Bytes of room for p2pgate_terminal_blob, and what is always enough for p2pgate_terminal_poll_transmit.
    static constexpr std::size_t blob_length = P2PGATE_BLOB_LENGTH(peers);
    static constexpr std::size_t transmit_length = P2PGATE_TRANSMIT_LENGTH(peers);

    terminal() = default;
    terminal(const terminal &) = delete;
    terminal &operator=(const terminal &) = delete;
    ~terminal() { p2pgate_terminal_deinit(words_); }

    // As p2pgate_terminal_init. A terminal that is there already ends; on an error there is none.
    p2pgate_result_t init(const p2pgate_config_t &config, const std::uint8_t (&seed)[P2PGATE_KEY_LENGTH],
                          const std::uint8_t (&entropy)[P2PGATE_KEY_LENGTH], std::uint8_t (&new_seed)[P2PGATE_KEY_LENGTH])
    {
        p2pgate_terminal_deinit(words_);
        return p2pgate_terminal_init(words_, P2PGATE_TERMINAL_WORDS(sessions, peers), sessions, peers, &config, seed, entropy, new_seed);
    }

    // For p2pgate.h's functions.
    std::uint64_t *get() { return words_; }
    const std::uint64_t *get() const { return words_; }

private:
    std::uint64_t words_[P2PGATE_TERMINAL_WORDS(sessions, peers)]{};
};

// A configuration's identifier; `identifier` has to stay until the terminal is made.
inline void set_identifier(p2pgate_config_t &config, std::string_view identifier)
{
    config.struct_size = sizeof config;
    config.identifier = identifier.data();
    config.identifier_length = identifier.size();
}

// An identifier that the library told; it lies in `peer`.
inline std::string_view identifier(const p2pgate_peer_t &peer)
{
    return {reinterpret_cast<const char *>(peer.identifier), peer.identifier_length};
}

// A name that was offered; it lies in `offered`.
inline std::string_view name(const p2pgate_offered_t &offered)
{
    return {reinterpret_cast<const char *>(offered.name), offered.name_length};
}

// A result in words.
inline std::string_view message(p2pgate_result_t result)
{
    return p2pgate_strerror(result);
}

}  // namespace p2pgate

#endif

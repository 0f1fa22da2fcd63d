/* sentencepiece.cc - see sentencepiece.h. The only C++ of the library. */
#include "tok/sentencepiece.h"

#include <sentencepiece_processor.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <new>
#include <string_view>
#include <thread>
#include <vector>

struct pl_sentencepiece {
    sentencepiece::SentencePieceProcessor processor;
};

static_assert(sizeof(int) == sizeof(int32_t), "ids are handed on as they are");

/* ---- memory ---- */

namespace
{

using steady = std::chrono::steady_clock;

constexpr auto longest_wait = std::chrono::seconds(10);
constexpr auto between_tries = std::chrono::milliseconds(10);
constexpr auto quiet_spell = std::chrono::milliseconds(500); /* after it a wait begins anew */

/* Of the refusals that are being waited out, in any thread. */
std::atomic<steady::rep> first_refusal, last_refusal;

void wait_for_memory()
{
    const auto now = steady::now().time_since_epoch();

    if (now - steady::duration(last_refusal.exchange(now.count())) > quiet_spell)
        first_refusal = now.count();
    if (now - steady::duration(first_refusal) > longest_wait)
        throw std::bad_alloc();
    std::this_thread::sleep_for(between_tries);
}

} // namespace

void pl_sentencepiece_wait_for_memory()
{
    if (!std::get_new_handler())
        std::set_new_handler(wait_for_memory);
}

/* ---- the library ---- */

enum pl_sentencepiece_result pl_sentencepiece_open(struct pl_sentencepiece **out, const char *model,
                                                   size_t size, char *reason, size_t room)
{
    struct pl_sentencepiece *sp = nullptr;

    *out = nullptr;
    try {
        sp = new pl_sentencepiece;
        const auto status = sp->processor.LoadFromSerializedProto(std::string_view(model, size));

        if (status.ok()) {
            *out = sp;
            return PL_SENTENCEPIECE_OK;
        }
        snprintf(reason, room, "%s", status.error_message());
    } catch (const std::bad_alloc &) {
        delete sp;
        return PL_SENTENCEPIECE_NOMEM;
    } catch (const std::exception &e) {
        snprintf(reason, room, "%s", e.what());
    } catch (...) {
        snprintf(reason, room, "unknown reason");
    }
    delete sp;
    return PL_SENTENCEPIECE_BAD;
}

void pl_sentencepiece_close(struct pl_sentencepiece *sp)
{
    delete sp;
}

enum pl_sentencepiece_result pl_sentencepiece_encode(
    const struct pl_sentencepiece *sp, const char *text, size_t size,
    enum pl_sentencepiece_result (*take)(void *context, const int32_t *ids, size_t n),
    void *context)
{
    try {
        std::vector<int> ids;

        if (!sp->processor.Encode(std::string_view(text, size), &ids).ok())
            return PL_SENTENCEPIECE_BAD;
        return take(context, ids.data(), ids.size());
    } catch (const std::bad_alloc &) {
        return PL_SENTENCEPIECE_NOMEM;
    } catch (...) {
        return PL_SENTENCEPIECE_BAD;
    }
}

enum pl_sentencepiece_result pl_sentencepiece_split(
    const struct pl_sentencepiece *sp, const char *text, size_t size,
    enum pl_sentencepiece_result (*take)(void *context, const struct pl_sentencepiece_piece *pieces,
                                         size_t n),
    void *context)
{
    try {
        std::vector<pl_sentencepiece_piece> pieces;
        sentencepiece::ImmutableSentencePieceText split;

        if (!sp->processor.Encode(std::string_view(text, size), split.mutable_proto()).ok())
            return PL_SENTENCEPIECE_BAD;
        pieces.reserve(split.pieces_size());
        for (const auto &piece : split.pieces())
            pieces.push_back({static_cast<int32_t>(piece.id()), piece.begin(), piece.end(),
                              piece.piece() == "\u2581"});
        return take(context, pieces.data(), pieces.size());
    } catch (const std::bad_alloc &) {
        return PL_SENTENCEPIECE_NOMEM;
    } catch (...) {
        return PL_SENTENCEPIECE_BAD;
    }
}

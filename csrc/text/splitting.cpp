#include "text/splitting.h"

#include "text/unicode.h"

namespace omni {

namespace {

const std::string k_rule = "qwen2";

// Code points of a text from a byte on. All of a piece's share a note whether one has looked at the end of the text.
class Cursor {
  public:
    Cursor(std::string_view text, size_t at, bool & met_end) : text_(text), at_(at), met_end_(&met_end) { read(); }

    size_t at() const { return at_; }

    size_t behind() const { return at_ + code_.size; }

    bool ended() const { return code_.size == 0; }

    uint32_t value() const { return code_.value; }

    bool is(CharClass kind) const { return !ended() && kind_ == kind; }

    bool is_line_end() const { return code_.value == '\r' || code_.value == '\n'; }

    void next() {
        at_ += code_.size;
        read();
    }

    void skip(CharClass kind) {
        while (is(kind)) {
            next();
        }
    }

  private:
    void read() {
        if (at_ >= text_.size()) {
            *met_end_ = true;
            code_     = { 0, 0 };
            return;
        }
        code_ = code_point_at(text_, at_);
        kind_ = class_of(code_.value);
    }

    std::string_view text_;
    size_t           at_;
    bool *           met_end_;
    CodePoint        code_{ 0, 0 };
    CharClass        kind_ = CharClass::other;
};

// Without its case, as far as contractions go: the long s folds to s.
uint32_t folded(uint32_t code) {
    if (code == 0x17F) {
        return 's';
    }
    return code >= 'A' && code <= 'Z' ? code + ('a' - 'A') : code;
}

// `at`: behind an apostrophe. False where none of the seven follows.
bool take_contraction(Cursor & at) {
    const uint32_t first = folded(at.value());
    const uint32_t then  = first == 'r' || first == 'v' ? 'e' : first == 'l' ? 'l' : 0;
    if (then == 0 && first != 's' && first != 't' && first != 'm' && first != 'd') {
        return false;
    }
    at.next();
    if (then != 0) {
        if (folded(at.value()) != then) {
            return false;
        }
        at.next();
    }
    return true;
}

size_t end_of_marks(Cursor at) {
    at.skip(CharClass::other);
    while (at.is_line_end()) {
        at.next();
    }
    return at.at();
}

// Up to the last line end; without one all but the last space, which goes with what is behind. One alone goes alone.
size_t end_of_spaces(Cursor at) {
    const size_t first    = at.at();
    size_t       last     = first;
    size_t       line_end = first;
    while (at.is(CharClass::space)) {
        const bool ends_line = at.is_line_end();
        last                 = at.at();
        at.next();
        line_end = ends_line ? at.at() : line_end;
    }
    if (line_end != first) {
        return line_end;
    }
    return at.ended() || last == first ? at.at() : last;
}

size_t end_of_piece(const Cursor & first) {
    if (first.is(CharClass::number)) {
        return first.behind();
    }
    Cursor second = first;
    second.next();
    if (first.value() == '\'') {
        Cursor contraction = second;
        if (take_contraction(contraction)) {
            return contraction.at();
        }
    }
    if (first.is(CharClass::letter) || (second.is(CharClass::letter) && !first.is_line_end())) {
        second.skip(CharClass::letter);
        return second.at();
    }
    if (first.is(CharClass::other)) {
        return end_of_marks(first);
    }
    if (first.value() == ' ' && second.is(CharClass::other)) {
        return end_of_marks(second);
    }
    return end_of_spaces(first);
}

}  // namespace

bool is_known_split_rule(const std::string & name) {
    return name == k_rule;
}

std::string known_split_rules() {
    return k_rule;
}

size_t piece_end(std::string_view text, size_t at, bool complete) {
    bool         met_end = false;
    const size_t end     = end_of_piece(Cursor(text, at, met_end));
    return met_end && !complete ? 0 : end;
}

}  // namespace omni

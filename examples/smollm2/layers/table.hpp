// The demo's one table: a line per kind of layer (or per layer), and the model's totals.
#pragma once

#include <string>

#include "examples/smollm2/layers/measure.hpp"

namespace fp6llm::examples {

/// Median milliseconds of a multiplication by all layers of a line; NaN for a contender that is
/// absent.
struct LineTimes {
    double ours = 0;
    double blas = 0;
};

struct TableLine {
    std::string name;
    std::string shape;  ///< "576 x 1536"
    int64_t layers = 0;
    LayerResult result;
    LineTimes one_token;
    LineTimes many_tokens;
};

void print_table_header();
void print_table_line(const TableLine& line);
void print_totals(const TableLine& model);

}  // namespace fp6llm::examples

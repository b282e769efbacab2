// A row of the table of bad inputs: what is sent, and what may be counted and logged for it. One
// file per group of the catalogue, so that a newcomer finds a case by its number. Values; the
// bodies run one after the other on the thread of the test.

#ifndef DROVER_TESTS_BAD_INPUT_CASE_H_
#define DROVER_TESTS_BAD_INPUT_CASE_H_

#include <map>
#include <string>
#include <vector>

namespace drover::bad_input {

class World;

// By how much which counter of refusals grows: "auth_failures/forbidden" is the series
// drover_auth_failures_total{reason="forbidden"}. What is not named must not grow.
using Counts = std::map<std::string, double>;

struct Case {
  int number;
  const char* title;
  // Sends it and looks at the answers; all else is looked at after it, for every case alike.
  void (*run)(World& world);
  Counts counts = {};
  int audit_lines = 0;  // Of refused calls.
};

// Bytes that no log may hold: cases put it where secrets and payloads stand.
inline constexpr char kCanary[] = "canary-7f3a9";

std::vector<Case> TransportCases();      // T
std::vector<Case> ConnectionCases();     // T 11, 12
std::vector<Case> AuthorizationCases();  // A
std::vector<Case> JobCases();            // J
std::vector<Case> DataCases();           // J 53 to 56
std::vector<Case> WorkerCases();         // W
std::vector<Case> PushCases();           // P
std::vector<Case> ShardCases();          // S, J 63 and 64
std::vector<Case> DroverFrameCases();    // D

}  // namespace drover::bad_input

#endif  // DROVER_TESTS_BAD_INPUT_CASE_H_

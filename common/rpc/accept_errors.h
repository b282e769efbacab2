// Connections that gRPC could not take. It tells nobody but its log, so this listens there: the
// process's only place that does. Thread-safe.

#ifndef DROVER_COMMON_RPC_ACCEPT_ERRORS_H_
#define DROVER_COMMON_RPC_ACCEPT_ERRORS_H_

namespace drover {

// From now on what gRPC has to say goes to our log: as one line, control bytes quoted, at most
// kGrpcLinesPerSecond, since strangers can provoke it. Again is harmless.
inline constexpr int kGrpcLinesPerSecond = 20;
void ListenToGrpcLog();

// Whether a connection was refused for want of something since the last call.
bool TakeAcceptError();

}  // namespace drover

#endif  // DROVER_COMMON_RPC_ACCEPT_ERRORS_H_

// Exports the names that Drover looks up in NCCL, to see that it finds them. Never called but for
// the first two.

extern "C" {

int ncclGetVersion(int* version) {
  *version = DROVER_FAKE_NCCL_VERSION;
  return 0;
}
const char* ncclGetErrorString(int) { return "an error"; }
int ncclCommInitAll() { return 0; }
int ncclCommDestroy() { return 0; }
int ncclCommAbort() { return 0; }
int ncclCommGetAsyncError() { return 0; }
int ncclGroupStart() { return 0; }
int ncclGroupEnd() { return 0; }
int ncclReduceScatter() { return 0; }
int ncclBroadcast() { return 0; }
}

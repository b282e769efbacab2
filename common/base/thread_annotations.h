// Macros for clang's thread-safety analysis; empty for other compilers.
// https://clang.llvm.org/docs/ThreadSafetyAnalysis.html

#ifndef DROVER_COMMON_BASE_THREAD_ANNOTATIONS_H_
#define DROVER_COMMON_BASE_THREAD_ANNOTATIONS_H_

#if defined(__clang__)
#define DROVER_THREAD_ATTRIBUTE(x) __attribute__((x))
#else
#define DROVER_THREAD_ATTRIBUTE(x)
#endif

#define DROVER_CAPABILITY(x) DROVER_THREAD_ATTRIBUTE(capability(x))
#define DROVER_SCOPED_CAPABILITY DROVER_THREAD_ATTRIBUTE(scoped_lockable)
#define DROVER_GUARDED_BY(x) DROVER_THREAD_ATTRIBUTE(guarded_by(x))
#define DROVER_REQUIRES(...) DROVER_THREAD_ATTRIBUTE(requires_capability(__VA_ARGS__))
#define DROVER_EXCLUDES(...) DROVER_THREAD_ATTRIBUTE(locks_excluded(__VA_ARGS__))
#define DROVER_ACQUIRE(...) DROVER_THREAD_ATTRIBUTE(acquire_capability(__VA_ARGS__))
#define DROVER_RELEASE(...) DROVER_THREAD_ATTRIBUTE(release_capability(__VA_ARGS__))
#define DROVER_NO_THREAD_SAFETY_ANALYSIS DROVER_THREAD_ATTRIBUTE(no_thread_safety_analysis)

#endif  // DROVER_COMMON_BASE_THREAD_ANNOTATIONS_H_

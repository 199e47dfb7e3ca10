/** One at a time, and one more for all that comes meanwhile. `work` says itself what goes wrong, and never rejects. */
export function coalesced(work: () => Promise<unknown>): () => void {
  let [isRunning, isDue] = [false, false]
  const run = async (): Promise<void> => {
    isRunning = true
    while (isDue) {
      isDue = false
      await work()
    }
    isRunning = false
  }
  return () => {
    isDue = true
    if (!isRunning) void run()
  }
}

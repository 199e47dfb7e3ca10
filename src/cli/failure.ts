/** A command could not do what was asked, for a reason the person can act on. The message says what to do next; no stack is shown. */
export class Failure extends Error {
  readonly exitCode: number

  /** `exitCode`: 1 it failed (the default), 2 it was called wrongly. */
  constructor(message: string, exitCode: 1 | 2 = 1) {
    super(message)
    this.name = 'Failure'
    this.exitCode = exitCode
  }
}

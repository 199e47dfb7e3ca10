/** Writes the answers that replicas follow. One writer: the leader; whoever was it before finds its write refused. */
import {
  answersPath,
  NO_ANSWERS,
  parseAnswers,
  printAnswers,
  revisionOf,
  type Answer,
  type Answers,
} from './answers.ts'
import { LABEL, type Secrets, type StoredSecret } from './store.ts'

export class Publisher {
  readonly #secrets: Secrets
  readonly #path: string
  #stored: StoredSecret | null = null
  #answers: Answers = NO_ANSWERS
  /** One write at a time. */
  #last: Promise<unknown> = Promise.resolve()

  /** `namespace`: the controller's own. */
  constructor(secrets: Secrets, namespace: string) {
    this.#secrets = secrets
    this.#path = answersPath(namespace)
  }

  get answers(): Answers {
    return this.#answers
  }

  async load(signal: AbortSignal): Promise<void> {
    this.#stored = await this.#secrets.get(this.#path, signal)
    this.#answers = parseAnswers(this.#stored?.data['answers'])
  }

  /** Gives the revision that replicas say once they have it in place. */
  account(directory: string, thumbprint: string, signal: AbortSignal): Promise<string> {
    return this.#change((was) => ({ ...was, accounts: { ...was.accounts, [directory]: thumbprint } }), signal)
  }

  put(secret: string, answer: Answer, signal: AbortSignal): Promise<string> {
    return this.#change((was) => ({ ...was, orders: { ...was.orders, [secret]: answer } }), signal)
  }

  async drop(secret: string, signal: AbortSignal): Promise<void> {
    await this.#change(({ accounts, orders }) => {
      const { [secret]: _, ...rest } = orders
      return { accounts, orders: rest }
    }, signal)
  }

  #change(edit: (was: Answers) => Answers, signal: AbortSignal): Promise<string> {
    const done = this.#last.then(() => this.#write(edit, signal))
    this.#last = done.catch(() => {})
    return done
  }

  async #write(edit: (was: Answers) => Answers, signal: AbortSignal): Promise<string> {
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      const answers = edit(this.#answers)
      const text = printAnswers(answers)
      if (text === this.#stored?.data['answers']) return revisionOf(text)
      signal.throwIfAborted() // who leads no more writes no more
      const written = await this.#secrets.put(
        {
          ...{ path: this.#path, type: 'Opaque', labels: { [LABEL]: 'answers' }, annotations: {} },
          ...{ data: { answers: text }, version: this.#stored?.version ?? '' },
        },
        signal,
      )
      if (written !== null) {
        this.#stored = written
        this.#answers = answers
        return revisionOf(text)
      }
      await this.load(signal)
    }
    throw new Error(`somebody else keeps changing the Secret ${this.#path}`)
  }
}

const TRIES_MAX = 5

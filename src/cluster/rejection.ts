/** Something in an object that cannot be used. The rest of the object, and every other object, still is. */
export interface Rejection {
  /** e.g. `Service shop/frontend`. */
  readonly object: string
  /** Path of the field, e.g. `spec.ports[2].nodePort`. */
  readonly field: string
  /** What was wrong, with the value (shortened to 80 characters). */
  readonly problem: string
  /** What to do. */
  readonly remedy: string
}

/** `row` is null when nothing of the object can be used. */
export interface Parsed<Row> {
  readonly row: Row | null
  readonly rejections: readonly Rejection[]
}

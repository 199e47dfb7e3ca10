/** `Pod namespace/name` of this process, for Events. Where nobody says which namespace it runs in, it is that of the manifests. */
export const podTitle = (name: string, namespace = 'kube-system'): string =>
  `Pod ${process.env['POD_NAMESPACE'] ?? namespace}/${name}`

export const id = '3350ade4226f0adcd9e4e9545d7c2a16a5aa362d12315f2a88e2024cea1246cf';
const inner = '679f3691f7f1b20198548be43b86f265f9fff9be0ac4c973638f5ee89decbca9';
export const uid = 'b6a16766-05ee-446a-8ee5-ff96a817f47c';
const uid_ = uid.replaceAll('-', '_');
const userManager = '/user.slice/user-1000.slice/user@1000.service';

/** Null where the path says nothing. */
type Row = readonly [what: string, path: string, id: string | null, runtime: string | null, podUid: string | null];

/** Paths of cgroups as runtimes and the kubelet name them, with what each says of the container in it. */
export const containerPaths: readonly Row[] = [
  // Docker
  ['Docker, systemd', `/system.slice/docker-${id}.scope`, id, 'docker', null],
  ['Docker, cgroupfs', `/docker/${id}`, id, 'docker', null],
  ['Docker, rootless', `${userManager}/user.slice/docker-${id}.scope`, id, 'docker', null],
  ['Docker, cgroupfs with a parent of its own', `/actions_job/${id}`, id, null, null],
  ['Docker, systemd with a parent of its own', `/build.slice/docker-${id}.scope`, id, 'docker', null],
  ['systemd inside Docker', `/system.slice/docker-${id}.scope/system.slice/cron.service`, id, 'docker', null],
  ['init below the scope', `/system.slice/docker-${id}.scope/init`, id, 'docker', null],
  // containerd
  ['nerdctl, systemd', `/system.slice/nerdctl-${id}.scope`, id, 'containerd', null],
  ['nerdctl, cgroupfs', `/default/${id}`, id, 'containerd', null],
  // CRI
  [
    'containerd, systemd, burstable',
    `/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod${uid_}.slice/cri-containerd-${id}.scope`,
    id,
    'containerd',
    uid,
  ],
  [
    'containerd, systemd, besteffort',
    `/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod${uid_}.slice/cri-containerd-${id}.scope`,
    id,
    'containerd',
    uid,
  ],
  [
    'containerd, systemd, guaranteed: no class in the path',
    `/kubepods.slice/kubepods-pod${uid_}.slice/cri-containerd-${id}.scope`,
    id,
    'containerd',
    uid,
  ],
  ['cgroupfs, burstable: Docker and containerd alike', `/kubepods/burstable/pod${uid}/${id}`, id, null, uid],
  ['cgroupfs, guaranteed', `/kubepods/pod${uid}/${id}`, id, null, uid],
  [
    'a static pod, whose uid is a hash',
    `/kubepods/burstable/pod4c9203fdbdc5d2fb1d0d1ec9ef7a1a0d/${id}`,
    id,
    null,
    '4c9203fdbdc5d2fb1d0d1ec9ef7a1a0d',
  ],
  [
    'a static pod, systemd',
    `/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod4c9203fdbdc5d2fb1d0d1ec9ef7a1a0d.slice/crio-${id}.scope`,
    id,
    'cri-o',
    '4c9203fdbdc5d2fb1d0d1ec9ef7a1a0d',
  ],
  [
    'kubelet with systemd, containerd with cgroupfs',
    `/system.slice/containerd.service/kubepods-besteffort-pod${uid_}.slice:cri-containerd:${id}`,
    id,
    'containerd',
    uid,
  ],
  ['the same, guaranteed, at the root', `/kubepods-pod${uid_}.slice:cri-containerd:${id}`, id, 'containerd', uid],
  [
    'the same with dashes in the uid',
    `/kubepods-burstable-pod${uid}.slice:cri-containerd:${id}`,
    id,
    'containerd',
    uid,
  ],
  ['Docker below the kubelet', `/kubepods.slice/kubepods-pod${uid_}.slice/docker-${id}.scope`, id, 'docker', uid],
  // CRI-O
  [
    'CRI-O, systemd',
    `/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod${uid_}.slice/crio-${id}.scope`,
    id,
    'cri-o',
    uid,
  ],
  ['CRI-O with crun', `/kubepods.slice/kubepods-pod${uid_}.slice/crio-${id}.scope/container`, id, 'cri-o', uid],
  ['CRI-O, cgroupfs', `/kubepods/besteffort/pod${uid}/crio-${id}`, id, 'cri-o', uid],
  // Podman
  ['Podman', `/machine.slice/libpod-${id}.scope`, id, 'podman', null],
  ['Podman with crun', `/machine.slice/libpod-${id}.scope/container`, id, 'podman', null],
  ['Podman, cgroupfs', `/libpod_parent/libpod-${id}`, id, 'podman', null],
  ['Podman, rootless', `${userManager}/user.slice/libpod-${id}.scope/container`, id, 'podman', null],
  [
    "a pod of Podman's own, which is none of Kubernetes",
    `/machine.slice/machine-libpod_pod_${inner}.slice/libpod-${id}.scope/container`,
    id,
    'podman',
    null,
  ],
  // Others
  ['LXC', '/lxc.payload.web/system.slice/nginx.service', 'web', 'lxc', null],
  ['LXC, version 1', '/lxc/web/user.slice', 'web', 'lxc', null],
  ['LXC of Proxmox', '/lxc/101/ns/init.scope', '101', 'lxc', null],
  [
    'systemd-nspawn as a service',
    '/machine.slice/systemd-nspawn@web.service/payload/init.scope',
    'web',
    'systemd-nspawn',
    null,
  ],
  ['systemd-nspawn, escaped', '/machine.slice/machine-web\\x2d1.scope/payload', 'web-1', 'systemd-nspawn', null],
  // In each other
  ['Docker in Docker', `/docker/${id}/docker/${inner}`, inner, 'docker', null],
  [
    'kind',
    `/system.slice/docker-${id}.scope/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/kubelet-kubepods-besteffort-pod${uid_}.slice/cri-containerd-${inner}.scope`,
    inner,
    'containerd',
    uid,
  ],
  ['kind, cgroupfs', `/docker/${id}/kubelet/kubepods/besteffort/pod${uid}/${inner}`, inner, null, uid],
  [
    'Docker in a pod: its own container, and the pod that it runs in',
    `/kubepods/burstable/pod${uid}/${id}/docker/${inner}`,
    inner,
    'docker',
    uid,
  ],
  [
    'conmon of a container in a container runs in the outer one',
    `/docker/${id}/libpod_parent/libpod-conmon-${inner}`,
    id,
    'docker',
    null,
  ],
  // In a pod and in no container
  ['conmon of CRI-O', `/kubepods.slice/kubepods-pod${uid_}.slice/crio-conmon-${id}.scope`, null, null, uid],
  [
    'the cgroup of the pod',
    `/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod${uid_}.slice`,
    null,
    null,
    uid,
  ],
];

/** Paths that look like it, and of which nothing is to be told. */
export const otherPaths: readonly (readonly [what: string, path: string])[] = [
  ['the root', '/'],
  ['nothing at all', ''],
  ['init', '/init.scope'],
  ['a service', '/system.slice/ssh.service'],
  ['a session', '/user.slice/user-1000.slice/session-3.scope'],
  ['conmon of Podman', `/machine.slice/libpod-conmon-${id}.scope`],
  ['the daemon itself', '/system.slice/docker.service'],
  ['a class of pods', '/kubepods.slice/kubepods-burstable.slice'],
  ['a virtual machine', '/machine.slice/machine-qemu\\x2d1\\x2dvm.scope/libvirt/emulator'],
  ['what watches over a container of systemd-nspawn', '/machine.slice/systemd-nspawn@web.service/supervisor'],
  ['what watches over a container of LXC', '/lxc.monitor.web'],
  ['an id that is too short', `/system.slice/docker-${id.slice(1)}.scope`],
  ['an id that is too long', `/docker/a${id}`],
  ['capital digits, which no runtime writes', `/docker/${id.toUpperCase()}`],
  ['an unknown prefix', `/system.slice/backup-${id}.scope`],
  ['a property of every object', `/system.slice/constructor-${id}.scope`],
  ['text behind the scope', `/system.slice/docker-${id}.scope.d`],
  ['an image mount', `/system.slice/var-lib-docker-${id}-merged.mount`],
  ['the uid of a pod outside of kubepods', `/system.slice/pod${uid}`],
  ['a uid that is none', '/kubepods/burstable/pod----------------------------------'],
];

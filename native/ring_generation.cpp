#include "ring_generation.h"

#include <bpf/bpf.h>
#include <unistd.h>

#include "error.h"

namespace bpf2kafka {

namespace {

// Null when there is none of that name.
std::unique_ptr<EventRing> open_ring(const PinPaths& paths, const std::string& name) {
  Descriptor control = open_pinned(paths.map(name + "_control"));
  if (!control) return nullptr;
  return std::make_unique<EventRing>(open_pinned(paths.map(name)), std::move(control));
}

bool is_complete(const PinPaths& paths, const std::string& stream) {
  const std::string path = paths.map(stream + "_ring_control");
  const Descriptor fd = open_pinned(path);
  if (!fd) return false;
  const __u32 key = 0;
  ring_control control{};
  if (bpf_map_lookup_elem(fd.get(), &key, &control) != 0) fail("read", path, errno);
  return control.layout_hash != 0;
}

}  // namespace

std::vector<PinPaths> RingGeneration::pinned(const PinPaths& paths, const std::string& stream) {
  std::vector<PinPaths> complete;
  for (const std::uint32_t number : paths.generations())
    if (is_complete(paths.of_generation(number), stream)) complete.push_back(paths.of_generation(number));
  return complete;
}

RingGeneration::RingGeneration(const PinPaths& in, const std::string& of)
    : paths(in), stream(of), whole(open_ring(in, of + "_ring")), bare(open_ring(in, of + "_bare_ring")) {
  if (!whole) throw Error("ERR_PIN_LAYOUT", "use the pin directory", paths.directory(), 0, "a ring of it is missing");
}

std::vector<EventRing*> RingGeneration::rings() const {
  std::vector<EventRing*> all = {whole.get()};
  if (bare) all.push_back(bare.get());
  return all;
}

void RingGeneration::retire(EventRing& ring) {
  if (ring.backlog() > 0) throw Error("ERR_ADDON", "retire", "a ring", EBUSY, "it has records");
  // Who was given the pins may not remove them: the next who attaches does.
  if (::access(paths.generation().c_str(), W_OK) == 0)
    remove_pin(paths.map(stream + (&ring == whole.get() ? "_ring" : "_bare_ring")));
  ring.retire();
}

RecordLayout RingGeneration::layout() const {
  const std::string path = paths.map(stream + "_layout");
  const Descriptor fd = open_pinned(path);
  if (!fd) throw Error("ERR_PIN_LAYOUT", "read the records in", paths.generation(), 0, "their layout is not pinned beside them");
  bpf_map_info info{};
  __u32 bytes = sizeof(info);
  if (bpf_obj_get_info_by_fd(fd.get(), &info, &bytes) != 0) fail("inspect", path, errno);
  std::string text(info.value_size, '\0');
  const __u32 key = 0;
  if (bpf_map_lookup_elem(fd.get(), &key, text.data()) != 0) fail("read", path, errno);
  text.resize(text.find_last_not_of('\0') + 1);
  RecordLayout layout = RecordLayout::from_text(text);
  if (layout.hash() != layout_hash())
    throw Error("ERR_PIN_LAYOUT", "read the records in", paths.generation(), 0, "what is pinned beside them is another layout");
  return layout;
}

void RingGeneration::complete(const RecordLayout& layout) {
  const std::string path = paths.map(stream + "_layout");
  const std::string text = layout.to_text();
  const Descriptor fd(bpf_map_create(BPF_MAP_TYPE_ARRAY, "record_layout", sizeof(__u32), static_cast<__u32>(text.size()), 1, nullptr));
  if (!fd) fail("create", path, errno);
  const __u32 key = 0;
  if (bpf_map_update_elem(fd.get(), &key, text.data(), BPF_ANY) != 0) fail("write", path, errno);
  if (bpf_obj_pin(fd.get(), path.c_str()) != 0) fail("pin", path, errno);
  if (bare) bare->control()->layout_hash = layout.hash();
  __atomic_store_n(&whole->control()->layout_hash, layout.hash(), __ATOMIC_RELEASE);
}

}  // namespace bpf2kafka

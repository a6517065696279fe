"""Peak rates of GPUs.

Dense bf16 on tensor cores, by NVIDIA's data sheets of these cards (their
headline numbers are with sparsity, twice these).
"""

PEAKS = {
  'NVIDIA H100 80GB HBM3': 989.4e12,
  'NVIDIA H100 PCIe': 756e12,
  'NVIDIA H200': 989.4e12,
  'NVIDIA A100-SXM4-40GB': 312e12,
  'NVIDIA A100-SXM4-80GB': 312e12,
  'NVIDIA L4': 121e12,
}

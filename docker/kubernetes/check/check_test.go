package check

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// object makes an empty object of each kind that the manifests may have.
var object = map[string]func() metav1.Object{
	"v1 ConfigMap":                           func() metav1.Object { return &corev1.ConfigMap{} },
	"v1 Secret":                              func() metav1.Object { return &corev1.Secret{} },
	"v1 Service":                             func() metav1.Object { return &corev1.Service{} },
	"apps/v1 Deployment":                     func() metav1.Object { return &appsv1.Deployment{} },
	"policy/v1 PodDisruptionBudget":          func() metav1.Object { return &policyv1.PodDisruptionBudget{} },
	"autoscaling/v2 HorizontalPodAutoscaler": func() metav1.Object { return &autoscalingv2.HorizontalPodAutoscaler{} },
}

// decode reads one object, and fails on anything that its type doesn't have.
func decode(data []byte) (metav1.Object, error) {
	var kind metav1.TypeMeta
	if err := yaml.Unmarshal(data, &kind); err != nil {
		return nil, err
	}
	name := kind.APIVersion + " " + kind.Kind
	if object[name] == nil {
		return nil, fmt.Errorf("%q is no kind that is known here", name)
	}
	o := object[name]()
	if err := yaml.UnmarshalStrict(data, o); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if problems := validation.IsDNS1123Subdomain(o.GetName()); len(problems) > 0 {
		return nil, fmt.Errorf("%s: the name %q: %s", name, o.GetName(), strings.Join(problems, ", "))
	}
	for k, v := range o.GetLabels() {
		if problems := append(validation.IsQualifiedName(k), validation.IsValidLabelValue(v)...); len(problems) > 0 {
			return nil, fmt.Errorf("%s: the label %s=%s: %s", name, k, v, strings.Join(problems, ", "))
		}
	}
	return o, nil
}

// built are the objects that kubectl apply -k would send.
func built(t *testing.T) []metav1.Object {
	t.Helper()
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), "..")
	if err != nil {
		t.Fatal(err)
	}
	var all []metav1.Object
	for _, r := range resources.Resources() {
		data, err := r.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		o, err := decode(data)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, o)
	}
	return all
}

// only is the one object of type T.
func only[T metav1.Object](t *testing.T, all []metav1.Object) T {
	t.Helper()
	var found []T
	for _, o := range all {
		if o, ok := o.(T); ok {
			found = append(found, o)
		}
	}
	if len(found) != 1 {
		t.Fatalf("there are %d objects of type %T", len(found), *new(T))
	}
	return found[0]
}

// TestFiles decodes each file by itself: building it would drop a key that is
// there twice. Each file is a resource of the kustomization.
func TestFiles(t *testing.T) {
	files, err := filepath.Glob("../*.yaml")
	if err != nil || len(files) < 7 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	var names []string
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if filepath.Base(file) == "kustomization.yaml" {
			continue
		}
		names = append(names, filepath.Base(file))
		if _, err := decode(data); err != nil {
			t.Errorf("%s: %v", filepath.Base(file), err)
		}
	}
	var k struct{ Resources []string }
	data, err := os.ReadFile("../kustomization.yaml")
	if err == nil {
		err = yaml.Unmarshal(data, &k)
	}
	slices.Sort(k.Resources)
	if err != nil || !slices.Equal(k.Resources, names) {
		t.Errorf("the kustomization has %v, the folder %v: %v", k.Resources, names, err)
	}
}

// TestDecodeIsStrict shows that mistakes are found.
func TestDecodeIsStrict(t *testing.T) {
	const good = "apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: x}\nspec: {maxUnavailable: 1}\n"
	if _, err := decode([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for _, c := range [][3]string{
		{"maxUnavailable: 1", "maxUnavailble: 1", `unknown field "maxUnavailble"`},
		{"maxUnavailable: 1", "maxUnavailable: 1, maxUnavailable: 2", "already set in map"},
		{"maxUnavailable: 1", "selector: all", "cannot unmarshal"},
		{"policy/v1", "policy/v1beta1", "is no kind that is known here"},
		{"name: x", "name: X_x", "the name"},
		{"name: x", "name: x, labels: {a b: c}", "the label"},
	} {
		if _, err := decode([]byte(strings.Replace(good, c[0], c[1], 1))); err == nil || !strings.Contains(err.Error(), c[2]) {
			t.Errorf("%s: %v, want %q", c[1], err, c[2])
		}
	}
}

// TestTheyFit compares what the objects say of each other.
func TestTheyFit(t *testing.T) {
	all := built(t)
	d, svc := only[*appsv1.Deployment](t, all), only[*corev1.Service](t, all)
	hpa, pdb := only[*autoscalingv2.HorizontalPodAutoscaler](t, all), only[*policyv1.PodDisruptionBudget](t, all)
	cm, secret := only[*corev1.ConfigMap](t, all), only[*corev1.Secret](t, all)
	for _, o := range all {
		if o.GetNamespace() != "shardway" {
			t.Errorf("%s is in namespace %q", o.GetName(), o.GetNamespace())
		}
	}
	pod := d.Spec.Template
	selects := func(what string, s *metav1.LabelSelector) {
		t.Helper()
		got, err := metav1.LabelSelectorAsMap(s)
		if err != nil || len(got) == 0 {
			t.Fatalf("%s selects nothing: %v", what, err)
		}
		for k, v := range got {
			if pod.Labels[k] != v {
				t.Errorf("%s selects %s=%s, the pods have %q", what, k, v, pod.Labels[k])
			}
		}
	}
	selects("the Deployment", d.Spec.Selector)
	selects("the Service", &metav1.LabelSelector{MatchLabels: svc.Spec.Selector})
	selects("the PodDisruptionBudget", pdb.Spec.Selector)
	for _, c := range pod.Spec.TopologySpreadConstraints {
		selects("the spread over "+c.TopologyKey, c.LabelSelector)
	}
	if len(pod.Spec.TopologySpreadConstraints) != 2 || len(pod.Spec.Containers) != 1 {
		t.Fatalf("%d spread constraints, %d containers", len(pod.Spec.TopologySpreadConstraints), len(pod.Spec.Containers))
	}
	c := pod.Spec.Containers[0]

	ports := map[string]int32{}
	for _, p := range c.Ports {
		ports[p.Name] = p.ContainerPort
	}
	if want := map[string]int32{"mysql": 4406, "admin": 4480}; !maps.Equal(ports, want) {
		t.Errorf("the ports are %v, not %v", ports, want)
	}
	for path, probe := range map[string]*corev1.Probe{"/readyz": c.ReadinessProbe, "/livez": c.LivenessProbe} {
		if probe == nil || probe.HTTPGet == nil || probe.HTTPGet.Path != path || probe.HTTPGet.Port != intstr.FromString("admin") {
			t.Errorf("the probe of %s is %+v", path, probe)
		}
	}
	if svc.Spec.Type != corev1.ServiceTypeLoadBalancer || len(svc.Spec.Ports) != 1 || svc.Spec.Ports[0].TargetPort != intstr.FromString("mysql") {
		t.Errorf("the Service is %+v", svc.Spec)
	}
	const annotation = "service.beta.kubernetes.io/aws-load-balancer-healthcheck-"
	if svc.Annotations[annotation+"port"] != fmt.Sprint(ports["admin"]) || svc.Annotations[annotation+"path"] != "/readyz" {
		t.Errorf("the load balancer asks %v", svc.Annotations)
	}

	if ref := hpa.Spec.ScaleTargetRef; ref.Kind != "Deployment" || ref.APIVersion != "apps/v1" || ref.Name != d.Name {
		t.Errorf("the HorizontalPodAutoscaler scales %+v", ref)
	}
	if *hpa.Spec.MinReplicas != *d.Spec.Replicas || *d.Spec.Replicas != 3 || hpa.Spec.MaxReplicas <= 3 {
		t.Errorf("%d replicas, scaled from %d to %d", *d.Spec.Replicas, *hpa.Spec.MinReplicas, hpa.Spec.MaxReplicas)
	}
	if m := hpa.Spec.Metrics; len(m) != 1 || m[0].Pods == nil || m[0].Pods.Metric.Name != "shardway_sessions" || m[0].Pods.Target.AverageValue.Value() < 1 {
		t.Errorf("scaled by %+v", m)
	}

	sc, psc := c.SecurityContext, pod.Spec.SecurityContext
	if !*psc.RunAsNonRoot || *psc.RunAsUser == 0 || *sc.AllowPrivilegeEscalation || !*sc.ReadOnlyRootFilesystem || !slices.Equal(sc.Capabilities.Drop, []corev1.Capability{"ALL"}) {
		t.Errorf("the pod may do too much: %+v %+v", psc, sc)
	}
	if c.Resources.Requests.Cpu().IsZero() || c.Resources.Requests.Memory().IsZero() || c.Resources.Limits.Memory().IsZero() {
		t.Errorf("the resources are %+v", c.Resources)
	}

	if len(c.EnvFrom) != 1 || c.EnvFrom[0].SecretRef == nil || c.EnvFrom[0].SecretRef.Name != secret.Name {
		t.Errorf("the environment comes from %+v", c.EnvFrom)
	}
	if v := pod.Spec.Volumes; len(v) != 1 || v[0].ConfigMap == nil || v[0].ConfigMap.Name != cm.Name || len(c.VolumeMounts) != 1 ||
		c.VolumeMounts[0].Name != v[0].Name || c.VolumeMounts[0].MountPath != "/etc/shardway" || cm.Data["shardway.yaml"] == "" {
		t.Errorf("the configuration is %+v at %+v", v, c.VolumeMounts)
	}

	var config struct {
		DrainTimeout string `json:"drain_timeout"`
	}
	if err := yaml.Unmarshal([]byte(cm.Data["shardway.yaml"]), &config); err != nil {
		t.Fatal(err)
	}
	drain, err := time.ParseDuration(config.DrainTimeout)
	if err != nil {
		t.Fatal(err)
	}
	stop := time.Duration(c.Lifecycle.PreStop.Sleep.Seconds) * time.Second
	if grace := time.Duration(*pod.Spec.TerminationGracePeriodSeconds) * time.Second; grace < stop+drain+5*time.Second {
		t.Errorf("a pod has %s to end, and needs %s before it drains for %s", grace, stop, drain)
	}
	t.Logf("note: %d objects decoded strictly and compared", len(all))
}
